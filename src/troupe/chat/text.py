"""Text as strangers send it: what every string at an entrance must satisfy. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_TEXT = 64_000  # characters in any one field; the setting for messages is usually lower


def storable(text: str) -> str:
    """`text`, if a database and a JSON frame can carry it. Raises `ValueError`."""
    if "\x00" in text:
        raise ValueError("a NUL character cannot be stored; remove it")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("a lone surrogate is not a character; remove it")
    return text


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(storable)]
Filled = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(storable)
]
Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True),
    AfterValidator(storable),
]
Memory = Annotated[
    str, StringConstraints(max_length=4_000, strip_whitespace=True), AfterValidator(storable)
]
Short = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(storable)]
FrameId = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(storable)]
MessageId = Annotated[
    str,
    StringConstraints(
        max_length=80,
        pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(\.[0-9]{1,9}){3}$",
    ),
]
Speaker = Annotated[
    str,
    StringConstraints(
        max_length=50, pattern=r"^(user|char):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    ),
]


def keepable(text: str) -> str:
    """`text` from a model, with what cannot be stored or sent replaced."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
