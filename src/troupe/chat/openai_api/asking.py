"""From an OpenAI body to one generation request: which model, whose character, which prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from troupe.chat.answers import Models, default_of
from troupe.chat.catalog import ApiKey, Catalog, CharacterVersion
from troupe.chat.prompting import Cast, Prompt, Prompter, plain_chat, plain_completion
from troupe.gateway.types import GenerationRequest, ModelInfo
from troupe.prompt import ChatMessage

from .errors import no_model
from .schemas import Body, ChatBody, CompletionBody, InputMessage

CHARACTER = "character/"
MAX_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Asking:
    """Turns bodies into requests. Raises `OpenAIError` and the gateway's errors."""

    catalog: Catalog
    models: Models
    prompter: Prompter
    default_model: str | None

    async def request(self, owner: ApiKey, body: Body, request_id: str) -> GenerationRequest:
        """The one generation that a body asks for."""
        if body.model.startswith(CHARACTER):
            version = await self.catalog.current(body.model[len(CHARACTER) :], owner.user_id)
            if version is None:
                raise no_model(body.model)
            offered = await self.models.models()
            model = await self.models.resolve(default_of(self.default_model, offered))
            prompt = self._in_character(version, owner, model, body)
        else:
            model = await self.models.resolve(body.model)
            prompt = _plainly(model, body)
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

    def _in_character(
        self, version: CharacterVersion, owner: ApiKey, model: ModelInfo, body: Body
    ) -> Prompt:
        """The character's prompt around what the caller sent. Its instructions stand at the end of
        the definition."""
        messages = _messages(body)
        orders = [m.text for m in messages if m.role in ("system", "developer")]
        said = [m for m in messages if m.role in ("user", "assistant")]
        partial = said.pop().text if said and said[-1].role == "assistant" else ""
        names = [m.name for m in said if m.role == "user" and m.name]
        user = names[-1] if names else owner.user_name
        history = [
            ChatMessage(
                id=str(number),
                role="user" if m.role == "user" else "char",
                name=(m.name or user) if m.role == "user" else version.name,
                text=m.text,
            )
            for number, m in enumerate(said)
        ]
        tokens = body.sampling(model.context_length).max_tokens
        cast = Cast(version, user, None, "\n".join(orders))
        return self.prompter.compile(cast, history, model, tokens, partial)


def _messages(body: Body) -> Sequence[InputMessage]:
    if isinstance(body, ChatBody):
        return body.messages
    assert isinstance(body, CompletionBody)
    return [InputMessage(role="user", content=body.text)]


def _plainly(model: ModelInfo, body: Body) -> Prompt:
    """The caller's own prompt in the model's format."""
    if isinstance(body, CompletionBody):
        return plain_completion(body.text, model)
    return plain_chat([(m.role, m.name, m.text) for m in _messages(body)], model)
