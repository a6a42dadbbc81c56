"""What of a lorebook a moment of the chat calls up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from troupe.chat.catalog import Lorebook, LoreEntry
from troupe.chat.lorebook import recalled

ENTRY = LoreEntry(("lamp",), (), False, False, 100, 100, "It burns oil.")


def called(
    *entries: LoreEntry,
    said: tuple[str, ...] = ("The lamp!",),
    depth: int | None = None,
    budget: int | None = None,
    most: int = 1000,
) -> tuple[str, ...]:
    return recalled([Lorebook(depth, budget, entries)], said, len, most)


def other(content: str, **given: object) -> LoreEntry:
    return replace(ENTRY, content=content, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "said", "found"),
    [
        (ENTRY, "The LAMP is out", True),
        (ENTRY, "The light is out", False),
        (replace(ENTRY, case_sensitive=True), "The LAMP is out", False),
        (replace(ENTRY, case_sensitive=True), "The lamp is out", True),
        (replace(ENTRY, secondary_keys=("oil", "wick")), "The lamp is out", False),
        (replace(ENTRY, secondary_keys=("oil", "wick")), "The lamp's wick is out", True),
        (replace(ENTRY, keys=("sea", "light")), "The light is out", True),
        (replace(ENTRY, keys=(), constant=True), "", True),
        (replace(ENTRY, keys=("(a+)+$",)), "aaaa", False),
    ],
)
def test_keys_call_an_entry_up(entry, said, found):
    assert called(entry, said=(said,)) == (("It burns oil.",) if found else ())


@pytest.mark.parametrize(("depth", "found"), [(0, False), (1, False), (2, True), (None, True)])
def test_only_the_last_messages_are_looked_through(depth, found):
    assert bool(called(ENTRY, said=("lamp", "and", "so")[:2], depth=depth)) == found
    assert not called(ENTRY, said=("lamp", "1", "2", "3", "4"))


def test_the_order_decides_where_an_entry_stands():
    first, last = other("first", order=1), other("last", order=200)
    assert called(last, ENTRY, first) == ("first", "It burns oil.", "last")


def test_what_exceeds_the_budget_goes_by_priority():
    dear = other("d" * 10, priority=200, order=300)
    cheap = other("c" * 10, priority=1)
    assert called(cheap, dear, ENTRY, budget=25) == ("It burns oil.", "d" * 10)
    assert called(cheap, dear, ENTRY, most=10) == ("d" * 10,)
    assert called(dear, budget=-5) == ()


def test_several_books_share_the_room_and_a_text_stands_once():
    books = [Lorebook(None, 13, (ENTRY,)), Lorebook(None, None, (ENTRY, other("More.")))]
    assert recalled(books, ["lamp"], len, 100) == ("It burns oil.", "More.")
    assert recalled(books, ["lamp"], len, 13) == ("It burns oil.",)
