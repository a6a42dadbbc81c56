"""The conversation tree: which turns of which branches make a path. Pure.

A branch owns its turns from `fork_seq` on and shares all before with its parent, where it follows
candidate `fork_alt` of turn `fork_seq - 1`, whatever the parent chose since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .types import Branch, Message, MessageKey, State, Turn

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
    """Messages of one path, each once, as turns, oldest first. Erased turns are left out."""
    rows: dict[int, dict[int, Message]] = {}
    for message in messages:
        if message.state is not State.DELETED:
            key: MessageKey = message.key
            rows.setdefault(key.seq, {})[key.alt] = message
    return [_turn(seq, rows[seq], pins.get(seq)) for seq in sorted(rows)]


def _turn(seq: int, row: dict[int, Message], pin: int | None) -> Turn:
    if len(row) == 1:
        (message,) = row.values()
        return Turn(message.key.branch, seq, message.key.alt, (message,))
    candidates = tuple(row[alt] for alt in sorted(row))
    chosen = pin
    if chosen not in row:
        chosen = next((m.key.alt for m in candidates if m.chosen), candidates[0].key.alt)
    assert chosen is not None
    return Turn(candidates[0].key.branch, seq, chosen, candidates)
