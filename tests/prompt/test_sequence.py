"""A prompt's token ids as a sequence, and the hashes of its blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.prompt import BLOCK, TokenSequence, block_hashes
from troupe.prompt.hashes import Stream

ids = st.lists(st.integers(0, 2**20), max_size=70)
places = st.integers(-80, 80)


@given(settled=ids, behind=ids, more=ids, start=places, stop=places, step=st.integers(1, 3))
def test_it_is_the_list_it_stands_for(
    settled: list[int], behind: list[int], more: list[int], start: int, stop: int, step: int
) -> None:
    stream = Stream(settled)
    sequence = TokenSequence(stream, len(settled), behind)
    stream.ids.extend(more)
    whole = [*settled, *behind]
    assert [*sequence] == whole
    assert len(sequence) == len(whole)
    for part in (slice(start, stop), slice(start, None, step), slice(None, stop, -step)):
        assert sequence[part] == whole[part]
    if start >= 0:
        assert sequence.ids_from(start) == whole[start:]
    for at in range(-len(whole), len(whole)):
        assert sequence[at] == whole[at]
    for beyond in (len(whole), -len(whole) - 1):
        with pytest.raises(IndexError):
            sequence[beyond]


@given(settled=ids, behind=ids, more=ids)
def test_its_hashes_are_those_of_the_list(
    settled: list[int], behind: list[int], more: list[int]
) -> None:
    stream = Stream(settled)
    sequence = TokenSequence(stream, len(settled), behind)
    stream.ids.extend(more)
    expected = block_hashes([*settled, *behind])
    lengths = range(BLOCK, len(sequence) + 1, BLOCK)
    assert [sequence.hash_to(length) for length in lengths] == list(expected)
