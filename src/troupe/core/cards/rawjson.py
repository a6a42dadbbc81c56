"""JSON objects one level at a time, each value kept as the text it was written in.

Decoding and encoding a stranger's JSON changes it (1.0 and 1e0, escapes, the order of duplicate
keys, integers too large for others). So what is not ours is never decoded: it is cut out and put
back as it stood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]  # public, but not in typeshed
from typing import Any, NoReturn

from .errors import CardInvalid, CardTooLarge

_SPACE = re.compile(r"[ \t\n\r]*")
# An unclosed string runs to the end, so that a scan never starts twice at the same place.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def check_depth(text: str, limit: int) -> None:
    """Refuse nesting deeper than `limit` before any recursive parser sees it."""
    depth = 0
    for match in _STRUCTURE.finditer(text):
        bracket = match.group()
        if bracket in "[{":
            depth += 1
            if depth > limit:
                raise CardTooLarge(
                    f"nested deeper than {limit} levels", f"character {match.start()}"
                )
        elif bracket in "]}":
            depth -= 1


def decode(text: str, where: str) -> Any:
    """One JSON value, whole. Raises `CardInvalid`."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise CardInvalid(f"not valid JSON ({error})", where) from error


def members(text: str, where: str) -> dict[str, str]:
    """The members of a JSON object, in order, each value as its own text. Raises `CardInvalid`."""
    decode(text, where)  # from here on the text is known to be well formed
    position = _skip(text, 0)
    if text[position] != "{":
        raise CardInvalid("must be a JSON object", where)
    found: dict[str, str] = {}
    position = _skip(text, position + 1)
    while text[position] != "}":
        key, position = scanstring(text, position + 1, True)
        start = _skip(text, _skip(text, position) + 1)  # past the colon
        _, end = _DECODER.raw_decode(text, start)
        found[key] = text[start:end]
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
    return found


def build(values: Mapping[str, str]) -> str:
    """A JSON object from keys and values that are JSON already."""
    return "{" + ",".join(f"{dump(key)}:{value}" for key, value in values.items()) + "}"


def dump(value: Any) -> str:
    """A value of ours as JSON. Lone surrogates stay escaped, so the text is always encodable."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True)
    return text


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None  # the pattern matches the empty string
    return match.end()
