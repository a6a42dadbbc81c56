"""Which parts go when a prompt is too long, as `prompt-poet` cuts: in whole steps, by priority,
neighbours of one priority together and the oldest of them first. Pure; called by `prompt.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from troupe.prompt.poet.parts import PromptPart


class TruncationError(Exception):
    """What may be cut is cut, and the prompt is still over its limit."""


@dataclass
class TruncationBlock:
    """Neighbouring parts of one priority: the first, the last, and their tokens together."""

    left: int
    right: int
    truncation_priority: int
    total_tokens: int


def surplus(total: int, limit: int, step: int) -> int:
    """How many tokens are to go: whole steps, so that the cut stands still for some turns."""
    return math.ceil(max(0, total - limit) / step) * step


def blocks(parts: Sequence[PromptPart]) -> list[TruncationBlock]:
    """The blocks that may be cut, in the order in which they go."""
    found: list[TruncationBlock] = []
    for priority, run in groupby(enumerate(parts), key=lambda item: item[1].truncation_priority):
        members = list(run)
        tokens = sum(len(part.tokens or ()) for _, part in members)
        found.append(TruncationBlock(members[0][0], members[-1][0], priority, tokens))
    may_go = [block for block in found if block.truncation_priority > 0]
    return sorted(may_go, key=lambda block: block.truncation_priority, reverse=True)


def cut(parts: Sequence[PromptPart], order: Sequence[TruncationBlock], tokens: int) -> list[int]:
    """The numbers of the parts that stay once this many tokens are gone."""
    if not tokens:
        return list(range(len(parts)))
    gone: set[int] = set()
    for number in _until(parts, order, tokens):
        gone.add(number)
    return [number for number in range(len(parts)) if number not in gone]


def _until(
    parts: Sequence[PromptPart], order: Sequence[TruncationBlock], tokens: int
) -> Iterator[int]:
    removed = 0
    for block in order:
        members = range(block.left, block.right + 1)
        if removed + block.total_tokens <= tokens:
            yield from members  # with its parts that have no tokens
            removed += block.total_tokens
        else:
            for number in members:
                removed += len(parts[number].tokens or ())
                yield number
                if removed >= tokens:
                    break
        if removed >= tokens:
            return
