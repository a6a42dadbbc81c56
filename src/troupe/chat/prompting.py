"""From a warm path to the prompt of the next answer, by `troupe.prompt`.

Knows the chat's nouns on one side and the compiler's on the other; does no I/O. A `History` stays
with its path, so that a turn costs its new messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troupe.gateway.types import ModelInfo
from troupe.prompt import (
    ChatMessage,
    CompiledPrompt,
    Conversation,
    Template,
    platform_template,
)

from .catalog import CharacterVersion, Persona
from .store.types import State, Turn


@dataclass(frozen=True, slots=True)
class Cast:
    """Who speaks: the character that answers and the person it talks with. `company` are all the
    characters of a chat that has several. `instructions` is what an API's caller adds to the
    definition."""

    version: CharacterVersion
    user_name: str
    persona: Persona | None
    instructions: str = ""
    company: tuple[CharacterVersion, ...] = ()

    @property
    def template(self) -> Template:
        """The platform's template for so many characters."""
        return platform_template("group") if len(self.company) > 1 else character_template()

    def data(self, partial: str) -> dict[str, Any]:
        """What the template is given."""
        who: dict[str, Any] = {"character": _card(self.version)}
        if len(self.company) > 1:
            who = {"characters": list(map(_card, self.company)), "speaker": self.version.name}
        return {
            **who,
            "user": {
                "name": self.user_name,
                "description": self.persona.description if self.persona else "",
            },
            "instructions": self.instructions,
            "partial": partial,
        }


def _card(version: CharacterVersion) -> dict[str, str]:
    return {
        "name": version.name,
        "tagline": version.tagline,
        "description": version.description,
        "definition": version.definition,
        "example_dialogues": version.example_dialogues,
    }


class History:
    """A path's turns as one model's conversation. The path's last turn is the answer to be
    written, and never part of it."""

    def __init__(self, model: ModelInfo, names: Mapping[str, str], template: Template) -> None:
        self.conversation = Conversation(template, model.tokenizer, model.chat_format)
        self._model = model
        self._names = dict(names)
        self._turns = 0

    def fits(self, model: ModelInfo, names: Mapping[str, str], template: Template) -> bool:
        """Whether this is a history for that model and its very tokenizer, which changes when a
        model is served anew under its old name, for that template, and nobody was renamed."""
        mine = self._model
        return (
            mine.id == model.id
            and mine.tokenizer is model.tokenizer
            and mine.chat_format is model.chat_format
            and self._names == names
            and self.conversation.template is template
        )

    def reaches(self, anchor: str | None, limit: int) -> bool:
        """Whether the prompt would be the same if older turns were read too."""
        if anchor is not None:
            return anchor in self.conversation
        return self.conversation.tokens > limit

    def extend(self, turns: Sequence[Turn]) -> None:
        """Take in what of a path came since the last time, but its last turn. Answers that ended
        before a word are left out."""
        end = max(0, len(turns) - 1)
        came = turns[self._turns : end]
        self.conversation.extend(
            [
                said(turn, self._names)
                for turn in came
                if turn.message.body or turn.message.state is State.COMPLETE
            ]
        )
        self._turns = end


def said(turn: Turn, names: Mapping[str, str]) -> ChatMessage:
    """The chosen candidate, as the compiler wants it."""
    message = turn.message
    branch, seq, alt = message.key[1:]
    return ChatMessage(
        id=f"{branch}.{seq}.{alt}",
        role="char" if message.speaker.startswith("char:") else "user",
        name=names.get(message.speaker, "Someone"),
        text=message.body,
    )


def character_template() -> Template:
    """The template of a chat with one character."""
    return platform_template("character")


def answer_room(model: ModelInfo, max_tokens: int) -> int:
    """Tokens that are kept free for the answer: at most half of the model's context."""
    return max(1, min(max_tokens, model.context_length // 2))


def one_prompt(
    template: Template,
    data: Mapping[str, Any],
    history: Sequence[ChatMessage],
    model: ModelInfo,
    max_tokens: int,
) -> CompiledPrompt:
    """A prompt from nothing, for a caller that keeps nothing. Raises `PromptTooLong`."""
    conversation = Conversation(template, model.tokenizer, model.chat_format)
    conversation.extend(history)
    return conversation.compile(data, model.context_length - answer_room(model, max_tokens))
