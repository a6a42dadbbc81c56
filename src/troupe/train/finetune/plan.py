"""Which documents make which rows of which step, for the whole run, before it begins.

A plan follows from lengths and a seed alone, so a run resumes from the number of its next step, and
every process of a parallel run knows its own share. Rows are filled best fit first among documents
that are near one another in the shuffled order: hardly any padding, and no attention crosses from
one document to another. Pure. Called by `data.py`.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

WINDOW = 4096  # documents that are packed together: more pack tighter and shuffle less

Row = tuple[int, ...]  # numbers of documents


@dataclass(frozen=True, slots=True)
class Microbatch:
    """Rows that go through the model together."""

    rows: tuple[Row, ...]

    @property
    def documents(self) -> tuple[int, ...]:
        """All its documents, in the order of its rows."""
        return tuple(chain.from_iterable(self.rows))


Step = tuple[Microbatch, ...]  # one update of the weights


def fill_rows(numbers: Sequence[int], lengths: Sequence[int], length: int) -> list[Row]:
    """Best-fit decreasing: each document, longest first, goes where it leaves least room."""
    rows: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # room left and row, ascending
    for number in sorted(numbers, key=lambda n: (-lengths[n], n)):
        size = lengths[number]
        assert 0 < size <= length, "documents that fit no row were left out before"
        place = bisect_left(rooms, (size, -1))
        if place < len(rooms):
            room, row = rooms.pop(place)
        else:
            room, row = length, len(rows)
            rows.append([])
        rows[row].append(number)
        if room > size:
            insort(rooms, (room - size, row))
    return [tuple(row) for row in rows]


def plan_rows(
    lengths: Sequence[int], *, rows: int, length: int, accumulate: int, epochs: int, seed: int
) -> list[Step]:
    """Steps of `accumulate` microbatches of `rows` rows, every document once an epoch. The last
    microbatch and step of an epoch may be smaller."""
    steps: list[Step] = []
    for epoch in range(epochs):
        order = _shuffled(len(lengths), seed, epoch)
        made = [
            row
            for start in range(0, len(order), WINDOW)
            for row in fill_rows(order[start : start + WINDOW], lengths, length)
        ]
        random.Random(f"rows {seed} {epoch}").shuffle(made)
        micros = [Microbatch(tuple(made[i : i + rows])) for i in range(0, len(made), rows)]
        steps += [tuple(micros[i : i + accumulate]) for i in range(0, len(micros), accumulate)]
    return steps


def plan_examples(
    examples: Sequence[Sequence[int]],
    lengths: Sequence[int],
    *,
    per_step: int,
    rows: int,
    length: int,
    epochs: int,
    seed: int,
) -> list[Step]:
    """Steps of `per_step` examples, each a group of documents that stay in one microbatch (the two
    sides of a preference); a microbatch has at most `rows` rows, unless one example needs more."""
    steps: list[Step] = []
    for epoch in range(epochs):
        order = _shuffled(len(examples), seed, epoch)
        for start in range(0, len(order), per_step):
            chosen = [examples[i] for i in order[start : start + per_step]]
            steps.append(tuple(microbatches(chosen, lengths, rows, length)))
    return steps


def microbatches(
    examples: Sequence[Sequence[int]], lengths: Sequence[int], rows: int, length: int
) -> list[Microbatch]:
    """Examples in order, as many a microbatch as fill `rows` rows of `length` tokens."""
    made: list[Microbatch] = []
    held: list[int] = []
    filled: list[Row] = []
    for example in examples:
        tried = fill_rows([*held, *example], lengths, length)
        if held and len(tried) > rows:
            made.append(Microbatch(tuple(filled)))
            held, tried = [], fill_rows(example, lengths, length)
        held += example
        filled = tried
    return [*made, Microbatch(tuple(filled))] if filled else made


def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    order = list(range(count))
    random.Random(f"order {seed} {epoch}").shuffle(order)
    return order
