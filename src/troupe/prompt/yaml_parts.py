"""From a rendered stretch of a template, with marks for values, to its parts. Pure.

Reads YAML event by event, so that depth is bounded, and aliases and tags are refused. The values
are bound last: nothing ever reads them as YAML. Called by `template.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from troupe.prompt.errors import LimitExceeded
from troupe.prompt.run import MARK, Run
from troupe.prompt.types import Part, Section

SPACE = "<|space|>"
ROLES = ("system", "user", "char")
KEYS = (
    "name", "role", "content", "sections", "truncation_priority", "expected_template_data_keys",
    "tokens",
)  # fmt: skip
SECTION_KEYS = ("name", "content", "tokens")
MAX_TOKEN_ID = 2**31 - 1
_ID = re.compile("[0-9]+")
MAX_PRIORITY = 1_000_000
_SHORT = 16_000  # characters of a rendered stretch that is remembered
_ALIASES = {"assistant": "char"}


class BadParts(Exception):
    """What is wrong, on which line of the rendered text (from 0), in which part."""

    def __init__(self, why: str, line: int, part: str | None = None, limit: bool = False) -> None:
        self.why = why
        self.line = line
        self.part = part
        self.limit = limit  # whether it is that the template takes too much
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class _Scalar:
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class _Mapping:
    items: Mapping[str, Any]  # _Scalar, or a list of _Mapping or _Scalar
    line: int


def read_parts(text: str, run: Run, known: frozenset[str]) -> tuple[Part, ...]:
    """The parts that `text` lists, with the values of `run` in the places of their marks. `known`
    are the names of the data, for `expected_template_data_keys`. Raises `BadParts`."""
    try:
        # What differs from message to message are values: their marks are the same.
        listed = _listed(text) if len(text) <= _SHORT else _Reader(text).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        why = getattr(error, "problem", None) or str(error)
        raise BadParts(f"this is no YAML list of parts: {why}", mark.line if mark else 0) from error
    if len(listed) > run.limits.parts:
        line = listed[run.limits.parts].line
        raise BadParts(f"more than {run.limits.parts} parts", line, limit=True)
    return tuple(_part(item, run, known) for item in listed)


@lru_cache(maxsize=512)
def _listed(text: str) -> Sequence[_Mapping]:
    return _Reader(text).document()


class _Reader:
    """A descent over the events of one document: parts, their sections, and lists of words."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)

    def document(self) -> list[_Mapping]:
        """All parts; none if there is nothing but comments."""
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return []
        event = self._next()
        if not isinstance(event, yaml.SequenceStartEvent):
            raise BadParts("a template is a list of parts, each begun by '- name:'", _line(event))
        parts = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            if not isinstance(event, yaml.MappingStartEvent):
                raise BadParts("each item of the list is a part with a name", _line(event))
            parts.append(self._mapping(event, lists=2))
        self._next()  # the document's end
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            raise BadParts("a template is one YAML document", _line(event))
        return parts

    def _mapping(self, start: Any, lists: int) -> _Mapping:
        items: dict[str, Any] = {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise BadParts("a key is a plain word", _line(key))
            if key.value in items:
                raise BadParts(f"the key {key.value!r} stands twice", _line(key))
            items[key.value] = self._value(lists)
        return _Mapping(items, _line(start))

    def _value(self, lists: int) -> _Scalar | list[_Scalar | _Mapping]:
        event = self._next()
        if isinstance(event, yaml.ScalarEvent):
            return _Scalar(event.value, _line(event))
        if not isinstance(event, yaml.SequenceStartEvent):
            raise BadParts("a text is wanted here", _line(event))
        found: list[_Scalar | _Mapping] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            if isinstance(event, yaml.ScalarEvent):
                found.append(_Scalar(event.value, _line(event)))
            elif isinstance(event, yaml.MappingStartEvent) and lists > 1:
                found.append(self._mapping(event, lists - 1))
            else:
                raise BadParts("a text is wanted here", _line(event))
        return found

    def _next(self) -> Any:
        event = next(self._events)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadParts("anchors and aliases are not used in templates", _line(event))
        if getattr(event, "tag", None):
            raise BadParts("tags are not used in templates", _line(event))
        return event


def _line(event: Any) -> int:
    return int(event.start_mark.line)


def _part(found: _Mapping, run: Run, known: frozenset[str]) -> Part:
    items = found.items
    name_item = items.get("name")
    if not isinstance(name_item, _Scalar) or not name_item.text:
        raise BadParts("a part needs a name", found.line)
    name = _bind(name_item, run, name_item.text)
    for key in items:
        if key not in KEYS:
            wanted = ", ".join(KEYS)
            raise BadParts(f"there is no key {key!r}; a part has {wanted}", found.line, name)
    if ("content" in items or "tokens" in items) == ("sections" in items):
        raise BadParts("a part has either content or sections", found.line, name)
    for key in items.get("expected_template_data_keys") or []:
        if not isinstance(key, _Scalar) or key.text not in known:
            raise BadParts(f"the data lacks {getattr(key, 'text', key)!r}", found.line, name)
    if "sections" in items:
        sections = _sections(items["sections"], name, found.line)
    else:
        sections = [_Mapping({**items, "name": _Scalar("content", found.line)}, found.line)]
    return Part(
        name=name,
        role=_role(items.get("role"), run, name),
        sections=tuple(
            Section(label, _bind(item, run, name, text), tokens)
            for label, item, text, tokens in _stripped(sections, name)
        ),
        truncation_priority=_priority(items.get("truncation_priority"), run, name),
    )


def _sections(found: Any, part: str, line: int) -> list[_Mapping]:
    if not isinstance(found, list) or not found:
        raise BadParts("sections are a list of names and contents", line, part)
    for section in found:
        if not isinstance(section, _Mapping):
            raise BadParts("a section has a name and content", section.line, part)
        if not isinstance(section.items.get("name"), _Scalar) or not (
            section.items.keys() & {"content", "tokens"}
        ):
            raise BadParts("a section has a name and content", section.line, part)
        for key in section.items:
            if key not in SECTION_KEYS:
                wanted = ", ".join(SECTION_KEYS)
                why = f"there is no key {key!r}; a section has {wanted}"
                raise BadParts(why, section.line, part)
    return found


def _tokens(section: _Mapping, part: str) -> tuple[int | str, ...] | None:
    """Tokens that the template itself gives: ids, and names of special tokens."""
    found = section.items.get("tokens")
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(item, _Scalar) for item in found):
        raise BadParts("tokens are a list of ids and names of tokens", section.line, part)
    for item in found:
        if MARK in item.text:
            raise BadParts("tokens come from the template, never from a value", item.line, part)
        if _ID.fullmatch(item.text) and (len(item.text) > 10 or int(item.text) > MAX_TOKEN_ID):
            raise BadParts(f"a token's id is at most {MAX_TOKEN_ID}", item.line, part)
    return tuple(int(item.text) if _ID.fullmatch(item.text) else item.text for item in found)


def _stripped(
    sections: Sequence[_Mapping], part: str
) -> list[tuple[str, _Scalar, str, tuple[int | str, ...] | None]]:
    """Section name, where it stands, its text and tokens: without white space of the template's own
    at the ends of the part, and at the ends of a section's lines; `<|space|>` is a space that
    stays."""
    found = []
    for number, section in enumerate(sections):
        item = section.items.get("content", _Scalar("", section.line))
        if not isinstance(item, _Scalar):
            raise BadParts("content is a text", section.line, part)
        text = item.text.strip(" \t")
        text = text.lstrip() if number == 0 else text
        text = text.rstrip() if number == len(sections) - 1 else text
        label = section.items["name"].text
        found.append((label, item, text.replace(SPACE, " "), _tokens(section, part)))
    return found


def _bind(item: _Scalar, run: Run, part: str, text: str | None = None) -> str:
    """The text with values for marks."""
    try:
        return run.expand(item.text if text is None else text)
    except LimitExceeded as error:
        raise BadParts(error.why, item.line, part, limit=True) from error
    except IndexError as error:
        raise BadParts("a mark that no expression made", item.line, part) from error


def _role(item: Any, run: Run, part: str) -> str:
    """A value may choose between people and characters, but never speak for the system."""
    if item is None:
        return "user"
    if not isinstance(item, _Scalar):
        raise BadParts("a role is one word", 0, part)
    role = _bind(item, run, part)
    role = _ALIASES.get(role, role)
    allowed = ROLES[1:] if MARK in item.text else ROLES
    if role not in allowed:
        raise BadParts(f"the role {role!r} is none of {', '.join(allowed)}", item.line, part)
    return role


def _priority(item: Any, run: Run, part: str) -> int:
    if item is None:
        return 0
    text = _bind(item, run, part) if isinstance(item, _Scalar) else ""
    if not re.fullmatch("[0-9]{1,7}", text) or int(text) > MAX_PRIORITY:
        line = item.line if isinstance(item, _Scalar) else 0
        raise BadParts(
            f"truncation_priority is a whole number from 0 to {MAX_PRIORITY}", line, part
        )
    return int(text)
