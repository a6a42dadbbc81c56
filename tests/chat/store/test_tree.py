"""Paths through a tree, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from troupe.chat.store.tree import FOREVER, path_of, turns_of
from troupe.chat.store.types import Branch, Message, State

from .making import message

NOW = datetime.now(UTC)
CHAT = uuid4()


def _branches(*forks: tuple[int, int, int, int]) -> dict[int, Branch]:
    """A root and forks given as branch, parent, fork_seq, fork_alt."""
    made = {0: Branch(0, None, 0, 0, NOW)}
    return made | {b: Branch(b, parent, seq, alt, NOW) for b, parent, seq, alt in forks}


def test_the_root_shows_its_own_turns() -> None:
    path = path_of(_branches(), 0)
    assert path.spans == ((0, 0, FOREVER),)
    assert path.pins == {}


def test_a_branch_shows_its_parents_turns_before_the_fork() -> None:
    path = path_of(_branches((1, 0, 4, 2)), 1)
    assert path.spans == ((1, 4, FOREVER), (0, 0, 4))
    assert path.pins == {3: 2}


def test_a_fork_above_the_parents_own_beginning_passes_the_parent_by() -> None:
    branches = _branches((1, 0, 6, 3), (2, 1, 3, 1))
    path = path_of(branches, 2)
    assert path.spans == ((2, 3, FOREVER), (0, 0, 3))
    assert path.pins == {2: 1}


def test_the_nearest_fork_decides_which_candidate_is_followed() -> None:
    branches = _branches((1, 0, 4, 1), (2, 1, 4, 2))
    assert path_of(branches, 2).pins == {3: 2}
    assert path_of(branches, 1).pins == {3: 1}


def test_a_page_before_the_fork_needs_only_the_parent() -> None:
    path = path_of(_branches((1, 0, 4, 2)), 1, before=4)
    assert path.spans == ((0, 0, 4),)
    assert path.pins == {3: 2}
    assert path_of(_branches((1, 0, 4, 2)), 1, before=3).spans == ((0, 0, 3),)


def test_turns_come_in_order_with_their_candidates() -> None:
    rows: list[Message] = [
        message(CHAT, 1, alt=1),
        message(CHAT, 0),
        message(CHAT, 1, chosen=False),
        message(CHAT, 2, state=State.DELETED),
    ]
    first, second = turns_of(rows, {})
    assert (first.seq, first.chosen) == (0, 0)
    assert (second.seq, second.chosen, [m.key.alt for m in second.candidates]) == (1, 1, [0, 1])
    assert turns_of(rows, {1: 0})[1].chosen == 0
    assert turns_of(rows, {1: 9})[1].chosen == 1
