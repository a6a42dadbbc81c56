"""A card's lorebook (`character_book`) as chat uses it: what a character knows of its world, each
entry called up by words in the chat.

Reads what the specifications of cards V2 and V3 define and chat can heed, bounded; the card itself
keeps all of it. Entries whose keys are regular expressions are left out: a stranger's expression
can take for ever. So are those that are switched off. Pure; called when a card is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import book_of

ENTRIES = 1_000
KEYS = 50  # of an entry
KEY = 200  # characters
CONTENT = 8_000
NUMBER = 1_000_000
ORDER = 100  # of an entry that says none

Lorebook = dict[str, Any]


def lorebook(text: str) -> Lorebook | None:
    """The lorebook of a card's JSON text, as plain data for a JSON column; None if it has none.

    `scan_depth` (messages) and `token_budget` are numbers or None; each of `entries` has `keys`,
    `secondary_keys` (empty if they need not be there too), `constant`, `case_sensitive`, `order`
    (lower stands earlier), `priority` (lower goes first) and `content`. Raises `CardInvalid`.
    """
    book = book_of(text)
    entries = [found for entry in _list(book.get("entries")) if (found := _entry(entry))]
    if not entries:
        return None
    return {
        "scan_depth": _number(book.get("scan_depth"), None),
        "token_budget": _number(book.get("token_budget"), None),
        "entries": entries[:ENTRIES],
    }


def _entry(given: Any) -> Lorebook | None:
    if not isinstance(given, Mapping) or given.get("enabled") is False:
        return None
    content = _text(_undecorated(given.get("content")))[:CONTENT]
    keys, constant = _keys(given.get("keys")), given.get("constant") is True
    if not content or given.get("use_regex") is True or not (keys or constant):
        return None
    order = _number(given.get("insertion_order"), ORDER)
    return {
        "keys": keys,
        "secondary_keys": _keys(given.get("secondary_keys")) if given.get("selective") else [],
        "constant": constant,
        "case_sensitive": given.get("case_sensitive") is True,
        "order": order,
        "priority": _number(given.get("priority"), order),
        "content": content,
    }


def _undecorated(content: Any) -> Any:
    """The content without V3's decorators, lines at its beginning that start with `@@`."""
    if not isinstance(content, str):
        return ""
    lines = content.split("\n")
    while lines and lines[0].startswith("@@"):
        del lines[0]
    return "\n".join(lines)


def _keys(given: Any) -> list[str]:
    return [key for given in _list(given)[:KEYS] if (key := _text(given)[:KEY])]


def _text(given: Any) -> str:
    """A text that a JSON column can hold."""
    if not isinstance(given, str):
        return ""
    text = given.replace("\0", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def _number(given: Any, default: int | None) -> int | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return default
    return int(max(-NUMBER, min(NUMBER, given)))  # of infinity too


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []
