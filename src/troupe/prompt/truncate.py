"""Where the history begins: a boundary that moves only forwards, rarely, and by a step. Pure.

The history has a budget of its own, so that nothing else in a prompt need move the boundary.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Truncation:
    """The rule.

    When the history exceeds its budget, it is cut to `keep` of it, so that the boundary then
    stands still for many turns; the `newest` messages always stay. `reserve` is how many tokens of
    the limit are kept for all that is not history, whether it is there or not, so that nothing else
    moves the boundary; if it is None, the parts that are there take theirs, and `spare` is how many
    tokens more are kept for those that would go before the history does. `waits` names data that
    stands before the history and may wait for the next cut when it changes.
    """

    keep: float = 0.78
    newest: int = 4
    reserve: int | None = None
    waits: tuple[str, ...] = ()
    spare: int = 0

    def __post_init__(self) -> None:
        """Raises `ValueError`."""
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep is a share of the history's budget, and {self.keep} is none")
        if min(self.newest, self.reserve or 0, self.spare) < 0:
            raise ValueError("newest, reserve and spare are counts")

    def budget(self, limit: int, others: int) -> int:
        """Tokens that the history may take beside `others`, the parts that do not go before it."""
        return limit - (others + self.spare if self.reserve is None else self.reserve)


def first_kept(
    cut_before: Sequence[int],
    total: int,
    budget: int,
    start: int,
    rule: Truncation,
    cut_now: bool = False,
) -> int:
    """The index of the first message to keep, at or after `start`, the boundary of the last turn.

    `cut_before[i]` is how many tokens go when the boundary stands at message `i` (so it begins
    with 0 and has one entry more than there are messages); `total` is the whole history's. What is
    kept may still exceed `budget`, when the newest messages alone do. `cut_now` cuts what fits too.
    """
    last = max(0, len(cut_before) - 1 - rule.newest)
    start = min(start, last)
    kept = total - cut_before[start]
    if kept <= budget and not cut_now:
        return start
    target = int(max(0, min(kept, budget)) * rule.keep)
    return min(last, bisect_left(cut_before, total - target, lo=start))
