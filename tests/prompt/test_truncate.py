"""The boundary's rule."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from troupe.prompt.truncate import Truncation, first_kept

sizes = st.lists(st.integers(0, 50), max_size=40)


@given(sizes, st.integers(-20, 2000), st.integers(0, 45), st.integers(0, 6))
def test_the_boundary_moves_forwards_only_as_far_as_it_must(messages, budget, start, newest):
    cuts = list(accumulate(messages, initial=0))
    total, rule = cuts[-1], Truncation(0.7, newest)
    first = first_kept(cuts, total, budget, start, rule)
    last = max(0, len(messages) - newest)
    assert min(start, last) <= first <= last
    fits = total - cuts[min(start, last)] <= budget
    assert (first == min(start, last)) or not fits
    if not fits and first < last:
        assert total - cuts[first] <= max(0, budget) * 0.7


@given(sizes, st.integers(0, 500))
def test_a_second_look_moves_nothing(messages, budget):
    cuts = list(accumulate(messages, initial=0))
    rule = Truncation()
    first = first_kept(cuts, cuts[-1], budget, 0, rule)
    again = first_kept(cuts, cuts[-1], budget, first, rule)
    assert again == first or cuts[-1] - cuts[first] > budget
