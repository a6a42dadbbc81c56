"""The nouns of a prompt: parts, messages, the tokenizer and the format a model wants. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


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
