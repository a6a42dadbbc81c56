"""Where the history begins: a boundary that moves only forwards, rarely, and by a step. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Truncation:
    """The rule. When the history no longer fits, it is cut to `keep` of its budget, so that the
    boundary then stands still for many turns; the newest messages always stay."""

    keep: float = 0.7
    newest: int = 4


def first_kept(
    cut_before: Sequence[int], total: int, budget: int, start: int, rule: Truncation
) -> int:
    """The index of the first message to keep, at or after `start`, the boundary of the last turn.

    `cut_before[i]` is how many tokens go when the boundary stands at message `i` (so it begins
    with 0 and has one entry more than there are messages); `total` is the whole history's. What is
    kept may still exceed `budget`, when the newest messages alone do.
    """
    last = max(0, len(cut_before) - 1 - rule.newest)
    start = min(start, last)
    if total - cut_before[start] <= budget:
        return start
    target = int(max(0, budget) * rule.keep)
    return min(last, bisect_left(cut_before, total - target, lo=start))
