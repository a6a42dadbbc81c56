"""From a warm path to the prompt of the next answer, by `troupe.prompt`.

Knows the chat's nouns on one side and the compiler's on the other; does no I/O. A `History` stays
with its path, so that a turn costs its new messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from troupe.gateway.types import ModelInfo
from troupe.prompt import (
    ChatMessage,
    CompiledPrompt,
    Conversation,
    Template,
    Truncation,
    platform_template,
)
from troupe.prompt.segments import Segments

from .catalog import CharacterVersion, Lorebook, Persona
from .lorebook import budget
from .store.types import State, Turn

_STEP = 64  # tokens: the room for a memory grows by such steps, so that an edit seldom moves it


@dataclass(frozen=True, slots=True)
class Cast:
    """Who speaks: the character that answers and the person it talks with. `company` are all the
    characters of a chat that has several. `instructions` is what an API's caller adds to the
    definition. `pins` are messages to be kept in mind, `memory` what a person wrote down for the
    chat, a line an entry, and `lore` the texts of lorebook entries that were called up."""

    version: CharacterVersion
    user_name: str
    persona: Persona | None
    instructions: str = ""
    company: tuple[CharacterVersion, ...] = ()
    pins: tuple[ChatMessage, ...] = ()
    memory: str = ""
    lore: tuple[str, ...] = ()

    @property
    def books(self) -> list[Lorebook]:
        """The lorebooks of all who take part."""
        versions = self.company or (self.version,)
        return [version.lorebook for version in versions if version.lorebook is not None]

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
            "pins": [{"name": pin.name, "text": pin.text} for pin in self.pins],
            "memory": [line for line in self.memory.splitlines() if line.strip()],
            "lorebook": list(self.lore),
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


def spare_room(model: ModelInfo, books: Sequence[Lorebook], memory: str, limit: int) -> int:
    """Tokens of the limit that the history leaves to what is recalled, so that it neither moves the
    history's cut nor has to make way for it: at most a third."""
    size = sizer(model)(memory) if memory else 0
    wanted = sum(map(budget, books)) + -(-size // _STEP) * _STEP
    return min(wanted, limit // 3)


def sizer(model: ModelInfo) -> Callable[[str], int]:
    """How many tokens a text has, each counted once while it is in use."""
    encode = Segments(model.tokenizer).encode
    return lambda text: len(encode(text))


class History:
    """A path's turns as one model's conversation. The path's last turn is the answer to be
    written, and never part of it.

    `spare` is how many tokens it leaves to what is recalled. A message that is pinned while it is
    still in the history waits for the next cut: until then nothing before the history changes.
    """

    def __init__(
        self, model: ModelInfo, names: Mapping[str, str], template: Template, spare: int = 0
    ) -> None:
        rule = Truncation(spare=spare, waits=("pins",))
        self.conversation = Conversation(
            template, model.tokenizer, model.chat_format, truncation=rule
        )
        self._model = model
        self._names = dict(names)
        self._spare = spare
        self._turns = 0
        self._pins: tuple[ChatMessage, ...] = ()  # those that the last prompt had

    def fits(
        self, model: ModelInfo, names: Mapping[str, str], template: Template, spare: int = 0
    ) -> bool:
        """Whether this is a history for that model and its very tokenizer, which changes when a
        model is served anew under its old name, for that template, with that much to spare, and
        nobody was renamed."""
        mine = self._model
        return (
            mine.id == model.id
            and mine.tokenizer is model.tokenizer
            and mine.chat_format is model.chat_format
            and self._names == names
            and self._spare == spare
            and self.conversation.template is template
        )

    def prompt(self, cast: Cast, partial: str, limit: int, anchor: str | None) -> CompiledPrompt:
        """The prompt for the answer. Raises `PromptError`."""
        data = cast.data(partial)
        held = replace(cast, pins=self._pins).data(partial) if self._may_wait(cast, anchor) else {}
        prompt = self.conversation.compile(data, limit, anchor, held)
        self._pins = cast.pins if prompt.held["pins"] == data["pins"] else self._pins
        return prompt

    def _may_wait(self, cast: Cast, anchor: str | None) -> bool:
        """Whether what was pinned since can be read in the history, and nothing was unpinned."""
        before, start = set(self._pins), _seq(anchor) if anchor is not None else 0
        new = set(cast.pins) - before
        return before <= set(cast.pins) and all(_seq(pin.id) >= start for pin in new)

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


def _seq(message_id: str) -> int:
    return int(message_id.split(".")[1])


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
