"""The keys of parts and sections as a template's text writes them, each with its line. Pure.

Reads lines, not YAML: a template is YAML only once it is rendered, and what a branch holds that no
data reach would never be read at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from troupe.prompt.yaml_parts import KEYS, SECTION_KEYS

_KEY = re.compile(r"^( *(?:- +)*)([A-Za-z_][\w-]*):(?: +(.*))?$")
_BLOCK = re.compile(r"^[|>][-+0-9]* *(?:#.*)?$")
_HIDDEN = re.compile(r"\{#.*?#\}|\{% *raw *%\}.*?\{% *endraw *%\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """A key that no part (or section) has."""

    key: str
    line: int
    message: str


def unknown_keys(text: str) -> list[UnknownKey]:
    """All of them, in order."""
    found = []
    for key, line, depth in _keys(_HIDDEN.sub(lambda one: "\n" * one[0].count("\n"), text)):
        known, what = ((KEYS, "part"), (SECTION_KEYS, "section"))[min(depth, 1)]
        if key not in known:
            said = f"there is no key {key!r}; a {what} has {', '.join(known)}"
            found.append(UnknownKey(key, line, said))
    return found


def _keys(text: str) -> Iterator[tuple[str, int, int]]:
    """(Key, its line, 0 in a part and 1 in a section)."""
    levels: list[int] = []  # at which column the keys of each open item stand
    block = -1  # a text goes on while lines are indented more than this
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith(("{%", "{{", "#")):
            continue
        indent = len(line) - len(line.lstrip())
        if block >= 0 and indent > block:
            continue
        block = -1
        matched = _KEY.match(line)
        if not matched:
            continue
        before, key, value = matched.groups()
        column = len(before)
        if "-" in before:
            levels = [one for one in levels if one < column - 1 and one <= indent]
            levels.append(column)
        elif column not in levels:
            continue
        else:
            levels = levels[: levels.index(column) + 1]
        yield key, number, len(levels) - 1
        if value and _BLOCK.match(value):
            block = column if "-" not in before else indent
