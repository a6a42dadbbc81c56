"""Text patterns: `[one|another]` chooses, `{slot}` stands for a value, anything else is itself.

A pattern is parsed once and expanded often, with the caller's random source, so that the same seed
always gives the same text. Pure; used by everything else in the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from troupe.train.errors import CorpusError

_SLOT = re.compile(r"\{([^{}\[\]|]+)\}")
_ARTICLE = re.compile(
    r"\b(a) (?=[aeiou])(?!one\b|once\b|uni|use|usu|uti|uku|euro|ewe)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives of equal weight."""

    options: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern; `slots` are the names that every expansion might need."""

    source: str
    parts: tuple[str | Slot | Choice, ...]
    slots: frozenset[str]

    def expand(self, rng: Random, fill: Callable[[str], str]) -> str:
        """One of the pattern's texts; `fill` gives a slot's value."""
        out: list[str] = []
        for part in self.parts:
            if isinstance(part, Slot):
                out.append(fill(part.name))
            elif isinstance(part, Choice):
                out.append(rng.choice(part.options).expand(rng, fill))
            else:
                out.append(part)
        return "".join(out)


@cache
def parse(source: str) -> Pattern:
    """Raises `CorpusError` where brackets do not match."""
    return _parse(source, 0, top=True)[0]


def _parse(source: str, at: int, *, top: bool) -> tuple[Pattern, int]:
    parts: list[str | Slot | Choice] = []
    start = at
    while at < len(source):
        char = source[at]
        if char == "[":
            options: list[Pattern] = []
            at += 1
            while True:
                option, at = _parse(source, at, top=False)
                options.append(option)
                if at >= len(source):
                    raise CorpusError(f"unclosed [ in the pattern {source!r}")
                at += 1
                if source[at - 1] == "]":
                    break
            parts.append(Choice(tuple(options)))
        elif char == "{":
            match = _SLOT.match(source, at)
            if match is None:
                raise CorpusError(f"a broken slot in the pattern {source!r}")
            parts.append(Slot(match[1]))
            at = match.end()
        elif char in "|]" and not top:
            break
        elif char in "|]}":
            raise CorpusError(f"unbalanced brackets in the pattern {source!r}")
        else:
            end = at + 1
            while end < len(source) and source[end] not in "[]{}|":
                end += 1
            parts.append(source[at:end])
            at = end
    slots = frozenset(
        name
        for part in parts
        for name in (
            [part.name]
            if isinstance(part, Slot)
            else [slot for option in part.options for slot in option.slots]
            if isinstance(part, Choice)
            else []
        )
    )
    return Pattern(source[start:at], tuple(parts), slots), at


def articles(text: str) -> str:
    """Write "an" where "a" stands before a vowel: patterns always say "a"."""
    return _ARTICLE.sub(r"\1n ", text)


def upper_first(text: str) -> str:
    """The first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]
