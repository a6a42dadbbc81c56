"""What a text or a JSON value must satisfy before it joins a batch. Pure.

One value that the database refuses would fail a statement that carries many callers' messages,
so it is refused here, for its own caller.
"""

from __future__ import annotations

from typing import Any

import orjson

from .errors import BadText

MAX_TEXT = 1_000_000  # characters
LINE = 160  # characters of a message that a list of chats shows


def text(value: str, what: str, limit: int = MAX_TEXT) -> str:
    """`value`, if the database can hold it. Raises `BadText`."""
    if len(value) > limit:
        raise BadText(f"{what} has {len(value)} characters; at most {limit} are kept")
    if "\x00" in value:
        raise BadText(f"{what} holds a NUL character, which cannot be stored; remove it")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise BadText(f"{what} holds a lone surrogate, which is not a character; remove it")
    return value


def json(value: Any, what: str) -> str:
    """`value` as JSON text. Raises `BadText`."""
    try:
        dumped = orjson.dumps(value).decode()
    except TypeError as error:
        raise BadText(f"{what} cannot be written as JSON: {error}") from error
    if len(dumped) > MAX_TEXT:
        raise BadText(f"{what} has {len(dumped)} characters of JSON; at most {MAX_TEXT} are kept")
    if "\\u0000" in dumped and _holds_nul(value):
        raise BadText(f"{what} holds a NUL character, which cannot be stored; remove it")
    return dumped


def line(body: str) -> str:
    """The beginning of a message, on one line."""
    return " ".join(body[: 2 * LINE].split())[:LINE]


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return "\x00" in value
        case dict():
            return any(_holds_nul(k) or _holds_nul(v) for k, v in value.items())
        case list() | tuple():
            return any(_holds_nul(item) for item in value)
    return False
