"""From a rendered stretch of a template, with marks for values, to its parts. Pure.

The values are bound last: nothing ever reads them as YAML. So the text is the same for every
message that takes the same way through the template, and what it says of parts is read once and
kept. Called by `template.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from troupe.prompt.errors import LimitExceeded
from troupe.prompt.run import MARK, Pieces, Run, pieces
from troupe.prompt.types import SPEAKER, Part, Section
from troupe.prompt.yaml_events import BadParts as BadParts
from troupe.prompt.yaml_events import Fields, Scalar, listed

SPACE = "<|space|>"
ROLES = ("system", "user", "char")
KEYS = (
    "name", "role", "content", "sections", "truncation_priority", "expected_template_data_keys",
    "tokens",
)  # fmt: skip
SECTION_KEYS = ("name", "content", "tokens")
MAX_PRIORITY = 1_000_000
MAX_TOKEN_ID = 2**31 - 1
_ID = re.compile("[0-9]+")
_ALIASES = {"assistant": "char"}
_KEPT = 512  # texts whose parts are kept,
_KEPT_CHARS = 16_000  # each up to this long

Tokens = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """A text with places for values."""

    pieces: Pieces
    line: int

    def bound(self, run: Run, part: str | None = None) -> str:
        try:
            return run.filled(self.pieces)
        except LimitExceeded as error:
            raise BadParts(error.why, self.line, part, limit=True) from error
        except IndexError as error:
            raise BadParts("a mark that no expression made", self.line, part) from error


@dataclass(frozen=True, slots=True)
class _Shape:
    """A part before its values are bound; a role and a priority that no value gives are known."""

    line: int
    name: _Text
    role: str | _Text
    priority: int | _Text
    sections: tuple[tuple[str | _Text, _Text, Tokens | None], ...]
    expected: tuple[str, ...]


def read_parts(text: str, run: Run, known: frozenset[str] | None) -> tuple[Part, ...]:
    """The parts that `text` lists, with the values of `run` in the places of their marks. `known`
    are the names of the data, for `expected_template_data_keys`; None for a message of the history.
    Raises `BadParts`."""
    try:
        shapes = _kept_shapes(text) if len(text) <= _KEPT_CHARS else _shapes(text)
    except BadParts as error:
        raise BadParts(error.why, error.line, _named(error.part, run), error.limit) from error
    if len(shapes) > run.limits.parts:
        line = shapes[run.limits.parts].line
        raise BadParts(f"more than {run.limits.parts} parts", line, limit=True)
    return tuple([_part(shape, run, known) for shape in shapes])


def _part(shape: _Shape, run: Run, known: frozenset[str] | None) -> Part:
    name = shape.name.bound(run)
    for key in shape.expected:
        if known is None:
            why = (
                "expected_template_data_keys stand with parts outside of the loop over the history"
            )
            raise BadParts(why, shape.line, name)
        if key not in known:
            raise BadParts(f"the data lacks {key!r}", shape.line, name)
    role, priority = shape.role, shape.priority
    if isinstance(role, _Text):  # a value may choose between people and characters, no more
        role = _role(role.bound(run, name), ROLES[1:], role.line, name)
    if isinstance(priority, _Text):
        priority = _priority(priority.bound(run, name), priority.line, name)
    sections = [
        Section(
            label if isinstance(label, str) else _label(label, run, name),
            text.bound(run, name),
            ids,
        )
        for label, text, ids in shape.sections
    ]
    return Part(name, role, tuple(sections), priority)


def _label(text: _Text, run: Run, part: str) -> str:
    """A section's name from a value, which cannot make it the one that says who speaks."""
    label = text.bound(run, part)
    if label == SPEAKER:
        raise BadParts(f"no value can name a section {SPEAKER!r}", text.line, part)
    return label


def _named(name: str | None, run: Run) -> str | None:
    """A part's name for an error, with its values as far as that can be."""
    try:
        return None if name is None else run.filled(pieces(name))
    except (LimitExceeded, IndexError):
        return None


def _shapes(text: str) -> tuple[_Shape, ...]:
    return tuple(_shape(fields) for fields in listed(text))


_kept_shapes = lru_cache(maxsize=_KEPT)(_shapes)


def _shape(found: Fields) -> _Shape:
    items = found.items
    name = items.get("name")
    if not isinstance(name, Scalar) or not name.text:
        raise BadParts("a part needs a name", found.line)
    part = name.text
    for key in items:
        if key not in KEYS:
            wanted = ", ".join(KEYS)
            raise BadParts(f"there is no key {key!r}; a part has {wanted}", found.line, part)
    if ("content" in items or "tokens" in items) == ("sections" in items):
        raise BadParts("a part has either content or sections", found.line, part)
    if "sections" in items:
        sections = _sections(items["sections"], part, found.line)
    else:
        sections = [Fields({**items, "name": Scalar("content", found.line)}, found.line)]
    return _Shape(
        found.line,
        _text(name),
        _role_of(items.get("role"), found.line, part),
        _priority_of(items.get("truncation_priority"), found.line, part),
        tuple(_stripped(sections, part)),
        _expected(items.get("expected_template_data_keys"), found.line, part),
    )


def _text(item: Scalar, text: str | None = None) -> _Text:
    return _Text(pieces(item.text if text is None else text), item.line)


def _expected(found: Any, line: int, part: str) -> tuple[str, ...]:
    if found is None or (isinstance(found, Scalar) and not found.text):
        return ()
    if not isinstance(found, list) or not all(isinstance(item, Scalar) for item in found):
        raise BadParts("expected_template_data_keys are a list of names", line, part)
    return tuple(item.text for item in found)


def _role_of(item: Any, line: int, part: str) -> str | _Text:
    if item is None:
        return "user"
    if not isinstance(item, Scalar):
        raise BadParts("a role is one word", line, part)
    return _text(item) if MARK in item.text else _role(item.text, ROLES, item.line, part)


def _role(text: str, allowed: Sequence[str], line: int, part: str) -> str:
    role = _ALIASES.get(text, text)
    if role not in allowed:
        raise BadParts(f"the role {role!r} is none of {', '.join(allowed)}", line, part)
    return role


def _priority_of(item: Any, line: int, part: str) -> int | _Text:
    if item is None:
        return 0
    if not isinstance(item, Scalar):
        return _priority("", line, part)
    return _text(item) if MARK in item.text else _priority(item.text, item.line, part)


def _priority(text: str, line: int, part: str) -> int:
    if not re.fullmatch("[0-9]{1,7}", text) or int(text) > MAX_PRIORITY:
        raise BadParts(
            f"truncation_priority is a whole number from 0 to {MAX_PRIORITY}", line, part
        )
    return int(text)


def _sections(found: Any, part: str, line: int) -> list[Fields]:
    if not isinstance(found, list) or not found:
        raise BadParts("sections are a list of names and contents", line, part)
    for section in found:
        if not isinstance(section, Fields):
            raise BadParts("a section has a name and content", section.line, part)
        if not isinstance(section.items.get("name"), Scalar) or not (
            section.items.keys() & {"content", "tokens"}
        ):
            raise BadParts("a section has a name and content", section.line, part)
        for key in section.items:
            if key not in SECTION_KEYS:
                wanted = ", ".join(SECTION_KEYS)
                why = f"there is no key {key!r}; a section has {wanted}"
                raise BadParts(why, section.line, part)
    return found


def _stripped(
    sections: Sequence[Fields], part: str
) -> Iterator[tuple[str | _Text, _Text, Tokens | None]]:
    """Name, text and tokens of sections: without white space of the template's own at the ends of
    the part, and at the ends of a section's lines; `<|space|>` is a space that stays."""
    for number, section in enumerate(sections):
        item = section.items.get("content", Scalar("", section.line))
        if not isinstance(item, Scalar):
            raise BadParts("content is a text", section.line, part)
        text = item.text.strip(" \t")
        text = text.lstrip() if number == 0 else text
        text = text.rstrip() if number == len(sections) - 1 else text
        named = section.items["name"]
        label = _text(named) if MARK in named.text else named.text
        yield label, _text(item, text.replace(SPACE, " ")), _tokens(section, part)


def _tokens(section: Fields, part: str) -> Tokens | None:
    """Tokens that the template itself gives: ids, and names of special tokens."""
    found = section.items.get("tokens")
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(item, Scalar) for item in found):
        raise BadParts("tokens are a list of ids and names of tokens", section.line, part)
    for item in found:
        if MARK in item.text:
            raise BadParts("tokens come from the template, never from a value", item.line, part)
        if _ID.fullmatch(item.text) and (len(item.text) > 10 or int(item.text) > MAX_TOKEN_ID):
            raise BadParts(f"a token's id is at most {MAX_TOKEN_ID}", item.line, part)
    return tuple(int(item.text) if _ID.fullmatch(item.text) else item.text for item in found)
