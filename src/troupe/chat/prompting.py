"""From a warm path to the prompt of the next answer, by `troupe.prompt`.

Knows the chat's nouns on one side and the compiler's on the other; does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from troupe.gateway.types import ModelInfo
from troupe.prompt import ChatFormat, ChatMessage

from .catalog import CharacterVersion, Persona
from .greetings import with_names
from .store.types import State, Turn


@dataclass(frozen=True, slots=True)
class Cast:
    """Who speaks: the character that answers and the person it talks with."""

    version: CharacterVersion
    user_name: str
    persona: Persona | None
    orders: str = ""  # what an API's caller adds to the definition


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is given. `anchor` is the first message of the history that was kept."""

    token_ids: Sequence[int] | None
    messages: Sequence[dict[str, Any]] | None
    stop: tuple[str, ...]
    anchor: str | None


@dataclass(slots=True)
class History:
    """The prompt's side of a path."""

    messages: list[ChatMessage] = field(default_factory=list)


def said(turns: Sequence[Turn], names: Mapping[str, str]) -> list[ChatMessage]:
    """What was said, as the compiler wants it; answers that failed before a word are left out."""
    messages = []
    for turn in turns:
        message = turn.message
        if message.body or message.state in (State.COMPLETE, State.STREAMING):
            role = "char" if message.speaker.startswith("char:") else "user"
            key = message.key
            messages.append(
                ChatMessage(
                    id=f"{key.branch}.{key.seq}.{key.alt}",
                    role=role,
                    name=names.get(message.speaker, "Someone"),
                    text=message.body,
                )
            )
    return messages


class Prompter:
    """Compiles prompts by one template."""

    template = "character"

    def compile(
        self,
        cast: Cast,
        history: Sequence[ChatMessage],
        model: ModelInfo,
        answer_tokens: int,
        partial: str,
    ) -> Prompt:
        """The prompt after which `cast.version` goes on speaking, `partial` being what it has
        said of this answer already."""
        card = _card(cast)
        limit = 3 * (model.context_length - answer_tokens) - len(card)
        kept: list[ChatMessage] = []
        for message in reversed(history):
            limit -= len(message.text) + 8
            if limit < 0 and kept:
                break
            kept.insert(0, message)
        anchor = kept[0].id if kept else None
        if model.chat_format is ChatFormat.MESSAGES:
            return Prompt(None, _messages(card, kept, partial), (), anchor)
        return Prompt(_tokens(card, kept, cast.version.name, model, partial), None, (), anchor)


def _card(cast: Cast) -> str:
    version = cast.version
    lines = [
        f"You are {version.name}. {version.tagline}".strip(),
        version.description,
        version.definition,
        cast.orders,
        f"Examples:\n{version.example_dialogues}" if version.example_dialogues else "",
        f"You are talking with {cast.user_name}. "
        f"{cast.persona.description if cast.persona else ''}".strip(),
    ]
    return with_names("\n".join(line for line in lines if line), cast.user_name, version.name)


def _messages(card: str, kept: Sequence[ChatMessage], partial: str) -> list[dict[str, Any]]:
    roles = {"user": "user", "char": "assistant"}
    messages = [{"role": "system", "content": card}]
    messages += [{"role": roles[m.role], "content": m.text} for m in kept]
    if partial:
        messages.append({"role": "assistant", "content": partial})
    return messages


def _tokens(
    card: str, kept: Sequence[ChatMessage], name: str, model: ModelInfo, partial: str
) -> list[int]:
    t = model.tokenizer
    end = t.special("<|end|>")
    ids = [t.special("<bos>"), t.special("<|system|>"), *t.encode(card), end]
    for m in kept:
        ids += [t.special(f"<|{m.role}|>"), *t.encode(f"{m.name}\n"), *t.encode(m.text), end]
    return [*ids, t.special("<|char|>"), *t.encode(f"{name}\n"), *t.encode(partial)]


def plain_completion(text: str, model: ModelInfo) -> Prompt:
    """A text to go on with, and nothing around it."""
    if model.chat_format is ChatFormat.MESSAGES:
        return Prompt(None, [{"role": "user", "content": text}], (), None)
    return Prompt([model.tokenizer.special("<bos>"), *model.tokenizer.encode(text)], None, (), None)


def plain_chat(messages: Sequence[tuple[str, str | None, str]], model: ModelInfo) -> Prompt:
    """Messages (role, name, text) in the model's own format, with no character's card."""
    if model.chat_format is ChatFormat.MESSAGES:
        given = [
            {"role": role, "content": text, **({"name": name} if name else {})}
            for role, name, text in messages
        ]
        return Prompt(None, given, (), None)
    card = "\n".join(text for role, _, text in messages if role in ("system", "developer"))
    said = [
        ChatMessage("", "user" if role == "user" else "char", name or _NAMES[role], text)
        for role, name, text in messages
        if role in _NAMES
    ]
    partial = said.pop().text if said and said[-1].role == "char" else ""
    return Prompt(_tokens(card, said, _NAMES["assistant"], model, partial), None, (), None)


_NAMES = {"user": "User", "assistant": "Assistant"}
