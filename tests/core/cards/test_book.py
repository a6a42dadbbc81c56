"""What chat reads of a card's lorebook."""

from __future__ import annotations

import json
from typing import Any

import pytest

from troupe.core.cards import lorebook
from troupe.core.cards.book import CONTENT, ENTRIES, KEYS


def card(book: Any) -> str:
    data = {"name": "Al", "character_book": book}
    return json.dumps({"spec": "chara_card_v3", "spec_version": "3.0", "data": data})


def entry(**given: Any) -> dict[str, Any]:
    return {"keys": ["light"], "content": "It burns oil.", "enabled": True} | given


def read(**given: Any) -> dict[str, Any]:
    book = lorebook(card({"entries": [entry(**given)]}))
    assert book is not None
    [found] = book["entries"]
    return dict(found)


def test_an_entry_keeps_what_the_specification_says_of_it():
    assert read(
        secondary_keys=["oil"], selective=True, constant=True, case_sensitive=True,
        insertion_order=7, priority=3,
    ) == {
        "keys": ["light"], "secondary_keys": ["oil"], "constant": True, "case_sensitive": True,
        "order": 7, "priority": 3, "content": "It burns oil.",
    }  # fmt: skip


def test_secondary_keys_count_only_for_a_selective_entry():
    assert read(secondary_keys=["oil"])["secondary_keys"] == []


def test_a_book_says_how_far_back_and_how_much():
    book = lorebook(card({"scan_depth": 3, "token_budget": 50.0, "entries": [entry()]}))
    assert book is not None
    assert (book["scan_depth"], book["token_budget"]) == (3, 50)


def test_decorators_are_no_part_of_what_is_known():
    assert read(content="@@depth 4\n@@role system\nIt burns @@oil.")["content"] == "It burns @@oil."


@pytest.mark.parametrize(
    "given",
    [
        {"enabled": False},
        {"content": " \n"},
        {"content": 5},
        {"keys": []},
        {"keys": ["", 4]},
        {"use_regex": True, "keys": ["(a+)+$"]},
    ],
)
def test_what_cannot_be_called_up_is_left_out(given):
    assert lorebook(card({"entries": [entry(**given)]})) is None


@pytest.mark.parametrize("book", [None, 5, [], {}, {"entries": None}, {"entries": [5, None, []]}])
def test_what_is_no_book_is_none(book):
    assert lorebook(card(book)) is None


def test_a_card_of_the_first_version_has_none():
    assert lorebook('{"name": "Al", "description": "", "first_mes": ""}') is None


def test_texts_are_such_as_a_json_column_can_hold():
    found = read(keys=["a\0b"], content="x\ud800\0y", insertion_order=True, priority=1e9)
    assert (found["keys"], found["content"]) == (["ab"], "x\ufffdy")
    assert (found["order"], found["priority"]) == (100, 1_000_000)


def test_a_book_is_bounded():
    big = entry(keys=["k" * 1000] * 1000, content="c" * 100_000)
    book = lorebook(card({"entries": [big] * 2000}))
    assert book is not None
    assert len(book["entries"]) == ENTRIES
    assert len(book["entries"][0]["keys"]) == KEYS
    assert len(book["entries"][0]["content"]) == CONTENT
