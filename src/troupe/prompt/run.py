"""One rendering: what it may still take, the values that it put out, and text with marks for them.

A value never stands in a template's text: a mark stands in its place until the text has become
parts. Pure; called by `sandbox.py`, `template.py` and `yaml_parts.py`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import total_ordering

from troupe.prompt.errors import LimitExceeded

CLOCK = 1000  # units of work between two looks at the clock, about a millisecond

# Private-use characters: text to YAML, and refused in a template's source.
MARK, MARK_END = "\ue000", "\ue001"
_MARK = re.compile(f"{MARK}([0-9]{{1,9}}){MARK_END}")


Pieces = tuple[str | int, ...]
"""A text with marks, taken apart: texts, and the numbers of values."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a template may take, for one rendering of one of its three stretches."""

    source_chars: int = 64_000  # of the template and of each file where it is included
    steps: int = 20_000  # turns of all loops together, calls, and values put out
    depth: int = 32  # calls within calls, and files within files
    chars: int = 2_000_000  # text of the template and of values
    parts: int = 2_000
    cpu_seconds: float = 2.0


@dataclass(slots=True)
class Run:
    """One rendering. `tracing`: each piece of text says which line of the source it is from."""

    name: str
    limits: Limits
    tracing: bool = False
    values: list[str] = field(default_factory=list)
    steps: int = 0
    chars: int = 0
    depth: int = 0
    worked: int = 0
    began: float = field(default_factory=time.thread_time)

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.limits.steps:
            self.fail(f"more than {self.limits.steps} loop turns and values")
        self.work()

    def work(self, size: int = 0) -> None:
        """Told before whatever takes time, with the characters or values that are looked at: reads
        the clock once in a while."""
        self.worked += 1 + size // 256
        if self.worked >= CLOCK:
            self.worked = 0
            if time.thread_time() - self.began > self.limits.cpu_seconds:
                self.fail(f"more than {self.limits.cpu_seconds:g} s of computing")

    def text(self, text: str) -> str:
        self.room(len(text))
        return text

    def room(self, chars: int) -> None:
        """Raises `LimitExceeded` if there is no room for this much more text."""
        self.chars += chars
        if self.chars > self.limits.chars:
            self.fail(f"more than {self.limits.chars} characters")

    def mark(self, value: str) -> str:
        """Keep a value aside; gives its mark."""
        self.values.append(self.text(value))
        return f"{MARK}{len(self.values) - 1}{MARK_END}"

    def filled(self, parts: Pieces) -> str:
        """The text with values in their places: a value is never looked through. Raises
        `LimitExceeded`, and `IndexError` for a mark that no value has."""
        values = self.values
        texts = [values[part] if isinstance(part, int) else part for part in parts]
        self.room(sum(map(len, texts)))
        return "".join(texts)

    def fail(self, why: str) -> None:
        raise LimitExceeded(f"the template takes {why}", self.name)


def pieces(text: str) -> Pieces:
    """Take a text with marks apart."""
    if MARK not in text:
        return (text,)
    split = _MARK.split(text)
    return tuple(int(one) if n % 2 else one for n, one in enumerate(split) if n % 2 or one)


RUN: ContextVar[Run] = ContextVar("troupe_prompt_run")


class Traced(str):
    """Text that knows which lines of the source it is made of, while lines are traced."""

    lines: tuple[tuple[int, str], ...]

    def __new__(cls, text: str, lines: Iterable[tuple[int, str]]) -> Traced:
        self = super().__new__(cls, text)
        self.lines = tuple(lines)
        return self

    def __str__(self) -> str:
        return self


def lines_of(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(Line of the source or 0, text) for each piece of text, in order."""
    for piece in pieces:
        yield from piece.lines if isinstance(piece, Traced) else ((0, piece),)


@total_ordering
class Fragment:
    """What a macro or a block gave: text of the template's own, with marks for values.

    Put out as it is, it is part of the template; anything else that is done with it sees its whole
    text, and makes a value of it.
    """

    __slots__ = ("marked",)

    def __init__(self, marked: str) -> None:
        self.marked = marked

    def __str__(self) -> str:
        return RUN.get().filled(pieces(str(self.marked)))

    def __bool__(self) -> bool:
        return bool(str(self))

    def __len__(self) -> int:
        return len(str(self))

    def __iter__(self) -> Iterator[str]:
        return iter(str(self))

    def __getitem__(self, index: slice) -> str:
        return str(self)[index]

    def __contains__(self, text: object) -> bool:
        return str(text) in str(self)

    def __eq__(self, other: object) -> bool:
        return str(self) == (str(other) if isinstance(other, Fragment) else other)

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def piece_of(made: str | Fragment) -> str:
    """A piece of the template's text: what a call block puts out is a fragment yet."""
    return made.marked if isinstance(made, Fragment) else made


def joined(pieces: Iterable[str | Fragment]) -> Fragment:
    """In the place of `"".join` where Jinja makes a macro's or a block's text."""
    run, found = RUN.get(), [piece_of(piece) for piece in pieces]
    run.room(sum(map(len, found)))
    text = "".join(found)
    return Fragment(Traced(text, lines_of(found)) if run.tracing else text)


def whole(value: object) -> object:
    """`value`, as something that is no longer a piece of the template."""
    return str(value) if isinstance(value, Fragment) else value
