"""A prompt's parts as `prompt-poet` has them, read from a template's rendered text. Pure.

The text is YAML after Jinja has run, values and all, as that package has it: whoever puts
strangers' text into it must escape it. `troupe.prompt.Template` needs no such care.
"""

from __future__ import annotations

from collections.abc import Container
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import Any

import yaml

from troupe.prompt.poet.escape import Marks


@dataclass
class PromptSection:
    """A piece of a part's content, whose tokens are counted by themselves."""

    name: str
    content: str
    tokens: list[int] | None = None
    truncation_priority: int | None = None


@dataclass
class PromptPart:
    """A part of a prompt. `truncation_priority`: parts of 0 and below are never cut, else higher
    goes first. `tokens` is None until the part is tokenized."""

    name: str
    content: str
    role: str = "user"
    expected_template_data_keys: list[str] | None = None
    tokens: list[int] | None = None
    truncation_priority: int = 0
    sections: list[PromptSection] | None = None


def read(
    rendered: str, marks: Marks, known: Container[str], tokens_allowed: bool
) -> list[PromptPart]:
    """The parts that a rendered template lists. `known`: the names of the data.

    Raises `yaml.YAMLError` for what is no YAML, `TypeError` for what is no list of parts with the
    fields that parts have, and `ValueError` for fields that contradict one another.
    """
    listed = yaml.load(rendered, Loader=yaml.CSafeLoader)
    if not isinstance(listed, list):
        if isinstance(listed, dict | str) and not listed:
            return []
        raise TypeError(f"a template is a list of parts, not {type(listed).__name__}")
    return [_part(item, number, marks, known, tokens_allowed) for number, item in enumerate(listed)]


def copied(part: PromptPart) -> PromptPart:
    """A part that shares nothing with another that can be changed."""
    sections = part.sections
    return replace(
        part,
        content=part.content if isinstance(part.content, str) else deepcopy(part.content),
        expected_template_data_keys=deepcopy(part.expected_template_data_keys),
        tokens=copy(part.tokens),
        sections=[replace(s, tokens=copy(s.tokens)) for s in sections] if sections else sections,
    )


def _part(
    item: Any, number: int, marks: Marks, known: Container[str], tokens_allowed: bool
) -> PromptPart:
    if not isinstance(item, dict):
        raise TypeError(f"part {number} is {type(item).__name__}, not fields and their values")
    fields = _joined(item, marks) if "sections" in item else item
    try:
        part = PromptPart(**fields)
    except TypeError as error:
        raise TypeError(f"part {number}, {item.get('name')!r}: {error}") from error
    if part.tokens is not None and not tokens_allowed:
        raise ValueError(f"part {part.name!r} gives tokens, which allow_token_overrides allows")
    missing = [key for key in part.expected_template_data_keys or () if key not in known]
    if missing:
        raise ValueError(f"part {part.name!r} expects data that is missing: {', '.join(missing)}")
    if not part.sections and isinstance(part.content, str):
        part.content = marks.unescape(marks.space(part.content.strip()))
    return part


def _joined(item: dict[str, Any], marks: Marks) -> dict[str, Any]:
    """Fields of a part with its sections joined to its content."""
    name, listed = item.get("name"), item["sections"]
    if not listed:
        raise ValueError(f"the sections of part {name!r} are empty")
    if not isinstance(listed, list):
        raise ValueError(f"the sections of part {name!r} are no list")
    if "content" in item:
        raise ValueError(f"part {name!r} has both content and sections")
    for number, section in enumerate(listed):
        if not isinstance(section, dict):
            raise ValueError(f"section {number} of part {name!r} is no fields and their values")
        for field in ("name", "content"):
            if field not in section:
                raise ValueError(f"section {number} of part {name!r} has no {field}")
    sections = [_section(section, marks) for section in listed]
    content = "".join(section.content for section in sections).strip()
    return {**item, "content": content, "sections": sections}


def _section(item: dict[str, Any], marks: Marks) -> PromptSection:
    """Line breaks at a section's ends stay; blanks go."""
    content = item["content"]
    if isinstance(content, str):
        content = marks.unescape(marks.space(content.strip(" \t")))
    return PromptSection(item["name"], content, item.get("tokens"), item.get("truncation_priority"))
