"""The conversation tree: which turns of which branches make a path. Pure.

A branch owns its turns from `fork_seq` on and shares all before with its parent, where it follows
candidate `fork_alt` of turn `fork_seq - 1`, whatever the parent chose since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .types import Branch, Message, State, Turn

FOREVER = 2**31 - 1  # after any turn


class Span(NamedTuple):
    """Turns `low` to `high - 1` of a branch."""

    branch: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Path:
    """What a branch shows: spans, newest first, and the candidates that forks follow."""

    spans: tuple[Span, ...]
    pins: dict[int, int]  # seq to alt


def path_of(branches: Mapping[int, Branch], branch: int, before: int | None = None) -> Path:
    """The path of a branch, up to turn `before`. Raises `KeyError` if there is no such branch."""
    high = FOREVER if before is None else before
    spans: list[Span] = []
    pins: dict[int, int] = {}
    at = branches[branch]
    while True:
        if at.fork_seq < high:
            spans.append(Span(at.branch, at.fork_seq, high))
        if at.parent is None:
            return Path(tuple(spans), pins)
        if at.fork_seq <= high:
            pins.setdefault(at.fork_seq - 1, at.fork_alt)
            high = at.fork_seq
        at = branches[at.parent]


def turns_of(messages: Iterable[Message], pins: Mapping[int, int]) -> list[Turn]:
    """Messages of one path as turns, oldest first. Erased turns are left out. A message may come
    twice, as when it was read while it was sealed."""
    # Nearly every turn has one candidate: those are not worth a collection of their own.
    turns: dict[int, Turn] = {}
    several: dict[int, dict[int, Message]] = {}
    for message in messages:
        key, _, state, *_ = message
        if state is State.DELETED:
            continue
        _, branch, seq, alt = key
        if seq in turns:
            (first,) = turns[seq].candidates
            several.setdefault(seq, {first.key.alt: first})[alt] = message
        else:
            turns[seq] = Turn(branch, seq, alt, (message,))
    for seq, row in several.items():
        turns[seq] = _choice(seq, row, pins.get(seq))
    return [turns[seq] for seq in sorted(turns)]


def _choice(seq: int, row: dict[int, Message], pin: int | None) -> Turn:
    """A turn of several candidates: the one that a fork follows, else the one that was chosen."""
    candidates = tuple(row[alt] for alt in sorted(row))
    first = candidates[0].key
    chosen = next((m.key.alt for m in candidates if m.chosen), first.alt)
    return Turn(first.branch, seq, pin if pin is not None and pin in row else chosen, candidates)
