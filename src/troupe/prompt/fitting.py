"""Which parts of a prompt stay: priorities beside the history, a boundary within it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from troupe.prompt.errors import PromptTooLong
from troupe.prompt.history import History
from troupe.prompt.layout import Framed
from troupe.prompt.truncate import Truncation, first_kept


@dataclass(frozen=True, slots=True)
class Fitted:
    """The parts before and after the history, and where it begins. `least`: nothing more may
    go."""

    head: tuple[Framed, ...]
    tail: tuple[Framed, ...]
    start: int
    least: bool


def fit(
    head: tuple[Framed, ...],
    tail: tuple[Framed, ...],
    history: History,
    limit: int,
    start: int,
    rule: Truncation,
    cut_now: bool,
) -> Fitted:
    """What stays within `limit` tokens. What does not fit stays all the same when none of it may
    go.

    First go the parts whose priority is above the history's; then the boundary moves, as far as
    the newest messages; then go the other parts that may. The answer's own beginning never goes.
    """
    floor = history.floor
    loose = [one for one in (*head, *tail[:-1]) if one.part.truncation_priority]
    high = [one for one in loose if one.part.truncation_priority > floor]
    firm = _size(head) + _size(tail) - _size(high)
    budget = rule.budget(limit, firm)
    total = history.ends[-1]
    start = first_kept(history.cuts, total, budget, start, rule, cut_now)
    if firm + total - history.cuts[start] > limit:
        start = first_kept(history.cuts, total, limit - firm, start, rule)
    said = total - history.cuts[start]
    gone = _dropped(high, firm + _size(high) + said - limit)
    if start:
        # The history will fill its budget: what would then be in the way is left out until then
        # too, since a part before the history that comes and goes costs all behind it.
        before = [one for one in high if any(one is part for part in head)]
        gone |= _dropped(before, firm + _size(before) + max(said, budget) - limit)
    over = firm + said - limit
    if over > 0:
        gone |= {id(one) for one in high} | _dropped(
            [one for one in loose if one.part.truncation_priority <= floor], over
        )
    last = max(0, len(history) - rule.newest)
    return Fitted(
        tuple(one for one in head if id(one) not in gone),
        tuple(one for one in tail if id(one) not in gone),
        start,
        start >= last and all(id(one) in gone for one in loose),
    )


def too_long(over: int, limit: int, kept: Sequence[Framed]) -> PromptTooLong:
    """The error that names the largest part of what is left."""
    largest = max(kept, key=lambda one: len(one.ids))
    return PromptTooLong(over, limit, largest.part.name, len(largest.ids))


def _dropped(parts: Sequence[Framed], over: int) -> set[int]:
    """Those that go to make room for `over` tokens: highest priority first, later ones first
    among equals, since what stands later costs less of the prefix."""
    gone: set[int] = set()
    order = list(reversed(parts))
    order.sort(key=lambda one: -one.part.truncation_priority)  # equals stay in order
    for one in order:
        if over <= 0:
            break
        gone.add(id(one))
        over -= len(one.ids)
    return gone


def _size(framed: Iterable[Framed]) -> int:
    return sum(len(one.ids) for one in framed)
