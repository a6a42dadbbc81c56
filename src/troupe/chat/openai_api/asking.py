"""From an OpenAI body to one generation request: which model, whose character, which prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from troupe.chat.answers import Models, default_of
from troupe.chat.catalog import ApiKey, Catalog, CharacterVersion
from troupe.chat.lorebook import recalled
from troupe.chat.prompting import Cast, character_template, one_prompt, sizer
from troupe.gateway.types import GenerationRequest, ModelInfo
from troupe.prompt import ChatFormat, ChatMessage, Layout, Template

from .errors import no_model
from .schemas import Body, ChatBody, CompletionBody, InputMessage

CHARACTER = "character/"
ASSISTANT = "Assistant"
MAX_CHARACTERS = 1000


class Prompt(NamedTuple):
    """What a model is given."""

    token_ids: Sequence[int] | None
    messages: Sequence[dict[str, Any]] | None
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """Turns bodies into requests. Raises `OpenAIError` and the gateway's errors."""

    catalog: Catalog
    models: Models
    default_model: str | None

    async def request(self, owner: ApiKey, body: Body, request_id: str) -> GenerationRequest:
        """The one generation that a body asks for."""
        if body.model.startswith(CHARACTER):
            version = await self.catalog.current(body.model[len(CHARACTER) :], owner.user_id)
            if version is None:
                raise no_model(body.model)
            offered = await self.models.models()
            model = await self.models.resolve(default_of(self.default_model, offered))
            room = body.sampling(model.context_length).max_tokens
            prompt = _in_character(version, owner, model, body, room)
        else:
            model = await self.models.resolve(body.model)
            room = body.sampling(model.context_length).max_tokens
            prompt = _plainly(owner, model, body, room)
        return GenerationRequest(
            model=model.id,
            conversation=f"api:{owner.user_id}:{body.user or ''}",
            sampling=body.sampling(model.context_length),
            token_ids=prompt.token_ids,
            messages=prompt.messages,
            stop=(*prompt.stop, *body.stops),
            request_id=request_id,
        )

    async def names(self, owner: ApiKey) -> list[tuple[str, str]]:
        """All that may be asked for, each with who owns it."""
        models = [(model.id, model.provider) for model in await self.models.models()]
        characters = await self.catalog.search(owner.user_id, MAX_CHARACTERS)
        return models + [(CHARACTER + version.slug, "troupe") for version in characters]

    async def offers(self, owner: ApiKey, name: str) -> str | None:
        """Who owns what is offered under this name; None if nothing is."""
        if name.startswith(CHARACTER):
            version = await self.catalog.current(name[len(CHARACTER) :], owner.user_id)
            return "troupe" if version else None
        return next((m.provider for m in await self.models.models() if m.id == name), None)


@dataclass(frozen=True, slots=True)
class _Said:
    """A body's messages, sorted out. `partial` is the answer's beginning, if the caller gave it."""

    instructions: str
    history: list[ChatMessage]
    user: str
    partial: str


def _said(body: Body, user: str, character: str) -> _Said:
    messages = _messages(body)
    said = [m for m in messages if m.role in ("user", "assistant")]
    partial = said.pop().text if said and said[-1].role == "assistant" else ""
    named = [m.name for m in said if m.role == "user" and m.name]
    user = named[-1] if named else user
    history = [
        ChatMessage(
            id=str(number),
            role="user" if m.role == "user" else "char",
            name=m.name or (user if m.role == "user" else character),
            text=m.text,
        )
        for number, m in enumerate(said)
    ]
    instructions = "\n".join(m.text for m in messages if m.role in ("system", "developer"))
    return _Said(instructions, history, user, partial)


def _in_character(
    version: CharacterVersion, owner: ApiKey, model: ModelInfo, body: Body, room: int
) -> Prompt:
    """The character's prompt around what the caller sent."""
    said = _said(body, owner.user_name, version.name)
    lore = _lore(version, model, [message.text for message in said.history])
    cast = Cast(version, said.user, None, said.instructions, lore=lore)
    compiled = one_prompt(character_template(), cast.data(said.partial), said.history, model, room)
    return Prompt(compiled.sequence, compiled.messages, compiled.stop)


def _lore(version: CharacterVersion, model: ModelInfo, said: Sequence[str]) -> tuple[str, ...]:
    if version.lorebook is None:
        return ()
    return recalled([version.lorebook], said, sizer(model), model.context_length // 4)


def _plainly(owner: ApiKey, model: ModelInfo, body: Body, room: int) -> Prompt:
    """The caller's own prompt in the model's format."""
    if isinstance(body, CompletionBody):
        if model.chat_format is ChatFormat.MESSAGES:
            return Prompt(None, [{"role": "user", "content": body.text}], ())
        begin = model.tokenizer.special(Layout().begin)
        return Prompt([begin, *model.tokenizer.encode(body.text)], None, ())
    if model.chat_format is ChatFormat.MESSAGES:
        return Prompt(None, [_as_sent(message) for message in _messages(body)], ())
    said = _said(body, owner.user_name, ASSISTANT)
    data = {"system": said.instructions, "name": ASSISTANT, "partial": said.partial}
    compiled = one_prompt(plain_template(), data, said.history, model, room)
    return Prompt(compiled.sequence, None, compiled.stop)


def _messages(body: Body) -> Sequence[InputMessage]:
    if isinstance(body, ChatBody):
        return body.messages
    assert isinstance(body, CompletionBody)
    return [InputMessage(role="user", content=body.text)]


def _as_sent(message: InputMessage) -> dict[str, Any]:
    sent = {"role": message.role, "content": message.text}
    return {**sent, "name": message.name} if message.name else sent


@cache
def plain_template() -> Template:
    """Messages and no card."""
    text = files("troupe.chat.openai_api").joinpath("plain.yaml").read_text("utf-8")
    return Template.parse(text, "plain")
