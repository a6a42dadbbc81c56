"""Every document once an epoch, no row too long, examples undivided, all of it from the seed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from troupe.train.finetune.plan import Step, fill_rows, plan_examples, plan_rows

LENGTH = 64
lengths = st.lists(st.integers(1, LENGTH), min_size=1, max_size=60)
seeds = st.integers(0, 3)


def counted(plan: list[Step]) -> Counter[int]:
    return Counter(n for step in plan for micro in step for n in micro.documents)


def widest(plan: list[Step], sizes: list[int]) -> int:
    rows = (row for step in plan for micro in step for row in micro.rows)
    return max(sum(sizes[n] for n in row) for row in rows)


@given(lengths, st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), seeds)
def test_rows_hold_every_document_once_an_epoch(
    sizes: list[int], rows: int, accumulate: int, epochs: int, seed: int
) -> None:
    plan = plan_rows(
        sizes, rows=rows, length=LENGTH, accumulate=accumulate, epochs=epochs, seed=seed
    )
    assert counted(plan) == Counter(dict.fromkeys(range(len(sizes)), epochs))
    assert widest(plan, sizes) <= LENGTH
    assert all(len(step) <= accumulate for step in plan)
    assert all(len(micro.rows) <= rows for step in plan for micro in step)
    again = plan_rows(
        sizes, rows=rows, length=LENGTH, accumulate=accumulate, epochs=epochs, seed=seed
    )
    assert again == plan


@given(lengths.filter(lambda sizes: len(sizes) > 1), st.integers(1, 3), st.integers(1, 9), seeds)
def test_the_sides_of_an_example_stay_together(
    sizes: list[int], rows: int, per_step: int, seed: int
) -> None:
    sizes = sizes[: len(sizes) // 2 * 2]
    pairs = [(n, n + 1) for n in range(0, len(sizes), 2)]
    plan = plan_examples(
        pairs, sizes, per_step=per_step, rows=rows, length=LENGTH, epochs=1, seed=seed
    )
    assert counted(plan) == Counter(range(len(sizes)))
    assert widest(plan, sizes) <= LENGTH
    for step in plan:
        assert sum(len(micro.documents) for micro in step) <= 2 * per_step
        for micro in step:
            assert len(micro.rows) <= max(rows, 2)
            assert {n ^ 1 for n in micro.documents} == set(micro.documents)


def test_rows_are_filled_to_the_brim_where_documents_allow() -> None:
    sizes = [40, 24, 30, 34, 60, 4]
    assert sorted(sum(sizes[n] for n in row) for row in fill_rows(range(6), sizes, 64)) == [64] * 3


def test_epochs_and_seeds_differ_in_order() -> None:
    plan = plan_rows([32] * 50, rows=1, length=32, accumulate=1, epochs=2, seed=0)
    other = plan_rows([32] * 50, rows=1, length=32, accumulate=1, epochs=1, seed=1)
    assert len({tuple(plan[:50]), tuple(plan[50:]), tuple(other)}) == 3
