"""What a template may be given: plain values of bounded depth, whose text is Unicode text. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troupe.prompt.errors import DataError

MAX_DEPTH = 8
MAX_VALUES = 100_000
MAX_CHARS = 4_000_000
MAX_INT = 2**53  # what every reader of JSON can hold


def plain(data: Mapping[str, Any], template: str = "") -> dict[str, Any]:
    """A copy of `data` made of strings, numbers, booleans, None, lists and dicts alone.

    Raises `DataError` naming the template that it is for and the key at fault.
    """
    try:
        copy = _Copy().value(data, "", 0)
    except DataError as error:
        raise DataError(error.why, error.key, template) from error.__cause__
    assert isinstance(copy, dict)
    return copy


class _Copy:
    def __init__(self) -> None:
        self._values = 0
        self._chars = 0

    def value(self, value: Any, key: str, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH:
            raise DataError(f"lists and dicts may be nested {MAX_DEPTH} deep", key)
        if self._values > MAX_VALUES:
            raise DataError(f"no more than {MAX_VALUES} values may be given", key)
        if isinstance(value, int) and abs(value) > MAX_INT:
            raise DataError(f"a number is over {MAX_INT}", key)
        if value is None or type(value) in (bool, int, float):
            return value
        if isinstance(value, str):
            return self._text(value, key)
        if isinstance(value, Mapping):
            return {
                self._text(name, key): self.value(item, f"{key}.{name}" if key else name, depth + 1)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(item, f"{key}[{n}]", depth + 1) for n, item in enumerate(value)]
        raise DataError(f"a {type(value).__name__} cannot be given to a template", key)

    def _text(self, text: Any, key: str) -> str:
        if not isinstance(text, str):
            raise DataError(f"keys are strings, and {text!r} is none", key)
        check_text(text, key)
        self._chars += len(text)
        if self._chars > MAX_CHARS:
            raise DataError(f"no more than {MAX_CHARS} characters may be given", key)
        return str(text)


def check_text(text: str, key: str, template: str = "") -> None:
    """Raises `DataError` if `text` holds half of a surrogate pair: that has no bytes."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        why = f"half of a surrogate pair at {error.start} is no text"
        raise DataError(why, key, template) from error


def same(kept: Any, given: Any) -> bool:
    """Whether `plain(given)` would be `kept`, which is plain, down to the kinds of its values."""
    if isinstance(kept, str):
        return isinstance(given, str) and kept == given
    if isinstance(kept, dict):
        return (
            isinstance(given, Mapping)
            and list(kept) == list(given)
            and all(same(item, given[key]) for key, item in kept.items())
        )
    if isinstance(kept, list):
        return (
            isinstance(given, list | tuple)
            and len(kept) == len(given)
            and all(map(same, kept, given))
        )
    return type(kept) is type(given) and bool(kept == given)
