"""The nouns of a prompt: parts, messages, the tokenizer and the format a model wants. Pure.

Parts and their sections, of which every message makes some, are tuples: a frozen data class takes
four times as long to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from troupe.prompt.attachments import Attachment


class ChatFormat(StrEnum):
    """What a model is given."""

    TOKENS = "tokens"  # token ids, special tokens included
    MESSAGES = "messages"  # OpenAI chat messages


class Tokenizer(Protocol):
    """Text to token ids. `special` looks a special token up by name; `encode` never makes one."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def special(self, name: str) -> int:
        """Raises `KeyError` if the vocabulary has no such special token."""
        ...


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of the history, as data for a template."""

    id: str  # stable between turns: the truncation anchor is one of these
    role: str  # "user" or "char"
    name: str
    text: str
    attachments: tuple[Attachment, ...] = ()


class Section(NamedTuple):
    """A named piece of a part's content, tokenized by itself. The section `speaker` of a message
    holds who speaks and a line break. `tokens`, if the template gives them, stand
    in the place of the content's: ids, and names of special tokens."""

    name: str
    content: str
    tokens: tuple[int | str, ...] | None = None


class Part(NamedTuple):
    """A part of a prompt. `truncation_priority`: 0 is never cut, else higher goes first."""

    name: str
    role: str  # "system", "user" or "char"
    sections: tuple[Section, ...]
    truncation_priority: int = 0
    attachments: tuple[Attachment, ...] = ()

    @property
    def content(self) -> str:
        """The whole text."""
        return "".join(section.content for section in self.sections)

    @property
    def speaker(self) -> str:
        """Who speaks, or nothing."""
        return "".join(s.content for s in self.sections if s.name == SPEAKER).removesuffix("\n")

    @property
    def text(self) -> str:
        """The content without the speaker."""
        return "".join(s.content for s in self.sections if s.name != SPEAKER)


SPEAKER = "speaker"
