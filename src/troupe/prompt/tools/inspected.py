"""A prompt part by part, with what each costs and what was cut. Pure; for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from troupe.prompt.compiled import CompiledPrompt
from troupe.prompt.conversation import Conversation
from troupe.prompt.errors import TokenizerError
from troupe.prompt.layout import Framer, Layout
from troupe.prompt.template import Template
from troupe.prompt.tools.inputs import Inputs
from troupe.prompt.types import ChatFormat, Part, Tokenizer


@dataclass(frozen=True, slots=True)
class Shown:
    """One part. `kind`: `before`, `user`, `char`, `after` or `answer`."""

    part: Part
    kind: str
    tokens: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Inspected:
    """All parts in order, what was cut among them. `begin`: tokens before the first part."""

    shown: tuple[Shown, ...]
    prompt: CompiledPrompt
    begin: int
    limit: int

    @property
    def cut(self) -> list[Shown]:
        """What did not fit."""
        return [one for one in self.shown if not one.kept]


def inspect(template: Template, inputs: Inputs, tokenizer: Tokenizer, limit: int) -> Inspected:
    """The next prompt of a chat, cut to `limit` tokens. A model without the tokens of Troupe's
    layout is given OpenAI messages. Raises `PromptError`."""
    chat_format = format_for(tokenizer)
    conversation = Conversation(template, tokenizer, chat_format)
    conversation.extend(inputs.history)
    prompt = conversation.compile(inputs.data, limit)
    framer = Framer(tokenizer, chat_format, Layout())
    left = list(prompt.parts)
    shown: list[Shown] = []

    def show(parts: Sequence[Part], kind: str, cut: bool = False) -> None:
        for number, part in enumerate(parts):
            is_open = kind == "after" and number == len(parts) - 1 and part.role == "char"
            kept = not (cut and part.truncation_priority) and part in left
            if kept:
                left.remove(part)
            tokens = len(framer.frame(part, is_open).ids)
            shown.append(Shown(part, "answer" if is_open else kind, tokens, kept))

    show(template.head(inputs.data), "before")
    for number, message in enumerate(inputs.history):
        show(template.message(message), message.role, number < prompt.cut_messages)
    show(template.tail(inputs.data), "after")
    return Inspected(tuple(shown), prompt, len(framer.begin), limit)


def format_for(tokenizer: Tokenizer) -> ChatFormat:
    """Token ids where the tokenizer has the special tokens of Troupe's own layout."""
    try:
        Framer(tokenizer, ChatFormat.TOKENS, Layout())
    except TokenizerError:
        return ChatFormat.MESSAGES
    return ChatFormat.TOKENS
