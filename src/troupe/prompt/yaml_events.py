"""The YAML of a template's rendered text, event by event: depth is bounded, and aliases and tags
are refused. Pure; called by `yaml_parts.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

MAX_EVENTS = 100_000  # some tenths of a second


class BadParts(Exception):
    """What is wrong, on which line of the rendered text (from 0), in which part."""

    def __init__(self, why: str, line: int, part: str | None = None, limit: bool = False) -> None:
        self.why = why
        self.line = line
        self.part = part
        self.limit = limit  # whether it is that the template takes too much
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Scalar:
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Fields:
    items: Mapping[str, Any]  # Scalar, or a list of Fields or Scalar
    line: int


def listed(text: str) -> list[Fields]:
    """The parts that `text` lists, as fields and texts. Raises `BadParts`."""
    try:
        return _Reader(text).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        why = getattr(error, "problem", None) or str(error)
        raise BadParts(f"this is no YAML list of parts: {why}", mark.line if mark else 0) from error


class _Reader:
    """A descent over the events of one document: parts, their sections, and lists of words."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._left = MAX_EVENTS

    def document(self) -> list[Fields]:
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

    def _mapping(self, start: Any, lists: int) -> Fields:
        items: dict[str, Any] = {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise BadParts("a key is a plain word", _line(key))
            if key.value in items:
                raise BadParts(f"the key {key.value!r} stands twice", _line(key))
            items[key.value] = self._value(lists)
        return Fields(items, _line(start))

    def _value(self, lists: int) -> Scalar | list[Scalar | Fields]:
        event = self._next()
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, _line(event))
        if not isinstance(event, yaml.SequenceStartEvent):
            raise BadParts("a text is wanted here", _line(event))
        found: list[Scalar | Fields] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            if isinstance(event, yaml.ScalarEvent):
                found.append(Scalar(event.value, _line(event)))
            elif isinstance(event, yaml.MappingStartEvent) and lists > 1:
                found.append(self._mapping(event, lists - 1))
            else:
                raise BadParts("a text is wanted here", _line(event))
        return found

    def _next(self) -> Any:
        event = next(self._events)
        self._left -= 1
        if not self._left:
            raise BadParts(f"more than {MAX_EVENTS} keys and texts", _line(event), limit=True)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadParts("anchors and aliases are not used in templates", _line(event))
        if getattr(event, "tag", None):
            raise BadParts("tags are not used in templates", _line(event))
        return event


def _line(event: Any) -> int:
    return int(event.start_mark.line)
