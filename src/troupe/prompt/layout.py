"""How parts become what a model is given: token ids in the model's layout, or OpenAI messages.
Pure.

The last part of a prompt, if a character speaks it, is left open: the model goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from troupe.prompt.errors import TokenizerError
from troupe.prompt.segments import Segments
from troupe.prompt.types import ChatFormat, Part, Tokenizer

MESSAGE_OVERHEAD = 4  # tokens that a chat template puts around a message, about
MAX_STOPS = 4  # OpenAI's limit
_OPENAI_ROLES = {"system": "system", "user": "user", "char": "assistant"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the special tokens around parts. Those of the model that Troupe ships with:

    `<bos><|system|>card<|end|><|user|>name\\ntext<|end|><|char|>name\\n`
    """

    begin: str = "<bos>"
    roles: Mapping[str, str] = field(
        default_factory=lambda: {"system": "<|system|>", "user": "<|user|>", "char": "<|char|>"}
    )
    end: str = "<|end|>"


class Framer:
    """Gives the token ids of parts in one format. Those for OpenAI messages only count."""

    def __init__(self, tokenizer: Tokenizer, chat_format: ChatFormat, layout: Layout) -> None:
        """Raises `TokenizerError` if the tokenizer lacks one of the layout's tokens."""
        self.tokenizer = tokenizer
        self.chat_format = chat_format
        self.layout = layout
        self._segments = Segments(tokenizer)
        if chat_format is ChatFormat.MESSAGES:
            self.begin: tuple[int, ...] = ()
            self._end: tuple[int, ...] = (0,) * (MESSAGE_OVERHEAD - 1)
            self._roles = dict.fromkeys(layout.roles, 0)
            return
        try:
            self.begin = (tokenizer.special(layout.begin),)
            self._end = (tokenizer.special(layout.end),)
            self._roles = {role: tokenizer.special(n) for role, n in layout.roles.items()}
        except KeyError as error:
            raise TokenizerError(
                f"the tokenizer has no special token {error.args[0]!r}, which the chat format needs"
            ) from error

    def frame(self, part: Part, is_open: bool = False) -> tuple[int, ...]:
        """Role, sections each tokenized by itself, end."""
        ids = [self._roles[part.role]]
        for section in part.sections:
            if section.tokens is None:
                ids.extend(self._segments.encode(section.content))
            else:
                ids.extend(self._given(section.tokens))
        if not is_open:
            ids.extend(self._end)
        return tuple(ids)

    def _given(self, tokens: Sequence[int | str]) -> list[int]:
        """Ids of the tokens that a template names. Raises `TokenizerError`."""
        if self.chat_format is ChatFormat.MESSAGES:
            return [0] * len(tokens)
        try:
            return [self.tokenizer.special(t) if isinstance(t, str) else t for t in tokens]
        except KeyError as error:
            raise TokenizerError(
                f"the tokenizer has no special token {error.args[0]!r}, which the template names"
            ) from error


def to_messages(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """OpenAI chat messages.

    The open part's speaker is the assistant. Other characters' lines become user lines that begin
    with their name; the user's own do so too once there are several others. Neighbours of one role
    become one message, since many models' chat templates want roles to alternate.
    """
    answerer = _answerer(parts)
    several = len(_others(parts, answerer)) > 1
    messages: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        is_open = number == len(parts) - 1 and part.role == "char"
        if is_open and not part.text:
            break
        role, text = _OPENAI_ROLES[part.role], part.text
        if part.role == "char" and answerer and part.speaker != answerer:
            role, text = "user", f"{part.speaker}: {text}"
        elif part.role == "user" and several and part.speaker:
            text = f"{part.speaker}: {text}"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n\n{text}"
        else:
            messages.append({"role": role, "content": text})
    return messages


def stops(parts: Sequence[Part]) -> tuple[str, ...]:
    """Strings that begin somebody else's line: where a model would speak for them, it stops."""
    others = _others(parts, _answerer(parts))
    names = sorted(name for name in others if "\n" not in name and len(name) <= 64)
    return tuple(f"\n{name}:" for name in names[:MAX_STOPS])


def _answerer(parts: Sequence[Part]) -> str:
    return parts[-1].speaker if parts and parts[-1].role == "char" else ""


def _others(parts: Sequence[Part], answerer: str) -> set[str]:
    return {part.speaker for part in parts if part.role != "system"} - {answerer, ""}
