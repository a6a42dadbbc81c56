"""Starting an answer: whose turn it is, by which model, with which prompt.

Knows no sockets and checks no ownership; `turns.py` calls it while it holds the chat.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from troupe.gateway.errors import GatewayError, ModelNotFound
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo, Sampling
from troupe.prompt import ChatMessage, CompiledPrompt
from troupe.telemetry import logs, request_id

from . import pins
from .auth import Viewer
from .catalog import Catalog, CharacterVersion
from .errors import ModelUnavailable, NotFound
from .generation import Generation
from .generations import Generations, Slot
from .lorebook import MOST_DEPTH, recalled
from .prompting import Cast, History, answer_room, said, sizer, spare_room
from .store.base import ChatStore
from .store.errors import StoreError
from .store.types import Chat, LiveGeneration, Member, Message, MessageKey, State
from .warm import Path, WarmChat, WarmChats, with_candidate

log = logs.get(__name__)


class Models(Protocol):
    """What chat asks of the gateway."""

    async def models(self) -> list[ModelInfo]: ...

    async def resolve(self, model_id: str) -> ModelInfo: ...

    def stream(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything that an answer is made from but the history."""

    chat: Chat
    viewer: Viewer
    answerer: Member
    cast: Cast
    model: ModelInfo
    sampling: Sampling
    template: str

    def placeholder(self, key: MessageKey, now: datetime) -> Message:
        """The answer before its first word."""
        return Message(key, self.answerer.speaker, State.STREAMING, "", now, meta=self.meta())

    def meta(self) -> dict[str, Any]:
        """What is known of the answer before it is written."""
        sampling = {
            name: getattr(self.sampling, name)
            for name in self.sampling.__dataclass_fields__
            if getattr(self.sampling, name) is not None
        }
        return {
            "model": self.model.id,
            "provider": self.model.provider,
            "sampling": sampling,
            "version_id": str(self.answerer.version_id),
            "template": self.template,
        }


@dataclass(frozen=True, slots=True)
class Answers:
    """Makes answers and hands them to the generations."""

    store: ChatStore
    catalog: Catalog
    generations: Generations
    models: Models
    warm: WarmChats
    default_model: str | None

    async def asked(self, viewer: Viewer, chat: Chat, answerer: Member) -> Asked:
        """What the answer is made from. Raises `ModelUnavailable` before anything is kept."""
        version = None
        if answerer.version_id is not None:
            version = await self.catalog.version(answerer.version_id)
        if version is None:
            raise NotFound("This character is gone for good; the chat can still be read.")
        me = next(m for m in chat.members if m.speaker == viewer.speaker)
        persona = None
        if me.persona_id is not None:
            persona = await self.catalog.persona(me.persona_id, viewer.user_id)
        model = await self.model(chat.meta.get("model"))
        sampling = Sampling(**(chat.meta.get("sampling") or {}))
        cast = Cast(
            version,
            me.name,
            persona,
            company=await self._company(chat),
            memory=chat.meta.get("memory") or "",
        )
        return Asked(chat, viewer, answerer, cast, model, sampling, cast.template.name)

    async def _company(self, chat: Chat) -> tuple[CharacterVersion, ...]:
        """The characters of a chat that are still there, in the order that it lists them."""
        wanted = [one.version_id for one in chat.members if one.version_id is not None]
        if len(wanted) < 2:
            return ()
        found = [await self.catalog.version(version_id) for version_id in wanted]
        return tuple(version for version in found if version is not None)

    async def model(self, model_id: str | None) -> ModelInfo:
        """The chosen model, or the default one. Raises `ModelUnavailable`."""
        try:
            return await self.models.resolve(model_id or await self.default())
        except GatewayError as error:
            raise ModelUnavailable(str(error), retry_after=error.retry_after) from error

    async def default(self) -> str:
        """The model of chats that chose none: the setting's, else the first that is ready."""
        return default_of(self.default_model, await self.models.models())

    async def start(
        self,
        warm: WarmChat,
        path: Path,
        slot: Slot,
        asked: Asked,
        message: Message,
        live: LiveGeneration,
    ) -> Generation:
        """Begin to write `message`, the last of `path`, after what its body already holds. What
        goes wrong from here on is the answer's end, not the request's."""
        generation = _generation(asked, message, live)
        source: CompiledPrompt | Exception
        try:
            source = await self._prompt(warm, path, asked, message.body)
        except Exception as error:
            source = error
        self.generations.start(
            slot,
            generation,
            lambda g: self._write(source, asked, g),
            lambda g, state: _remember(path, g, state),
        )
        return generation

    def abandon(
        self, slot: Slot, asked: Asked, message: Message, live: LiveGeneration, why: Exception
    ) -> None:
        """Settle an answer that was recorded but cannot begin."""
        self.generations.start(
            slot,
            _generation(asked, message, live),
            lambda g: self._write(why, asked, g),
            lambda _generation, _state: None,
        )

    async def _prompt(
        self, warm: WarmChat, path: Path, asked: Asked, partial: str
    ) -> CompiledPrompt:
        """The prompt, from as much of the history as it can hold. Raises `PromptError`."""
        names = {member.speaker: member.name for member in asked.chat.members}
        model = asked.model
        limit = model.context_length - answer_room(model, asked.sampling.max_tokens)
        anchor = _anchor(asked)
        spare = spare_room(model, asked.cast.books, asked.cast.memory, limit)
        cast = replace(
            asked.cast,
            pins=await self._pins(path, asked.chat, names),
            lore=_lore(asked, path, spare),
        )
        while True:
            template = cast.template
            if path.history is None or not path.history.fits(model, names, template, spare):
                path.history = History(model, names, template, spare)
            path.history.extend(path.turns)
            if path.whole or path.history.reaches(anchor, limit):
                return path.history.prompt(cast, partial, limit, anchor)
            await self.warm.older(warm, path)

    async def _pins(
        self, path: Path, chat: Chat, names: Mapping[str, str]
    ) -> tuple[ChatMessage, ...]:
        """The pinned messages that this branch shows, oldest first."""
        keys = sorted(pins.keys_of(chat), key=lambda key: key.seq)
        turns = [await self.warm.pinned(chat.chat_id, path, key.seq) for key in keys]
        return tuple(
            said(turn, names)
            for key, turn in zip(keys, turns, strict=True)
            if turn is not None and (turn.branch, turn.chosen) == (key.branch, key.alt)
        )

    async def _write(
        self, source: CompiledPrompt | Exception, asked: Asked, generation: Generation
    ) -> AsyncGenerator[Delta | Finish, None]:
        if isinstance(source, Exception):
            raise source
        await self._keep_anchor(source.anchor, asked)
        room = max(1, asked.model.context_length - source.tokens)
        request = GenerationRequest(
            model=asked.model.id,
            conversation=str(generation.key.chat_id),
            sampling=replace(asked.sampling, max_tokens=min(asked.sampling.max_tokens, room)),
            token_ids=source.sequence,
            messages=source.messages,
            stop=source.stop,
            request_id=request_id.current.get() or generation.epoch,
        )
        async with aclosing(self.models.stream(request)) as events:
            async for event in events:
                yield event

    async def _keep_anchor(self, anchor: str | None, asked: Asked) -> None:
        """Keep where the history was cut, so that the next prompt begins with the same tokens,
        whoever compiles it. It moves rarely."""
        if anchor == _anchor(asked):
            return
        chat_id = asked.chat.chat_id
        kept = {"model": asked.model.id, "message": anchor} if anchor is not None else None
        try:
            await self.store.set_meta(chat_id, {"anchor": kept})
        except StoreError as error:
            # The answer does not wait for it: without an anchor, the next prompt cuts anew.
            log.warning("anchor not kept", chat_id=str(chat_id), error=str(error))
        self.warm.stale(chat_id)


def _anchor(asked: Asked) -> str | None:
    """The first message of the last prompt for this model, if its history was cut."""
    anchor = asked.chat.meta.get("anchor")
    return anchor["message"] if anchor and anchor["model"] == asked.model.id else None


def _lore(asked: Asked, path: Path, most: int) -> tuple[str, ...]:
    """What the last messages call up of the characters' lorebooks."""
    if not asked.cast.books:
        return ()
    texts = [turn.message.body for turn in path.turns[-1 - MOST_DEPTH : -1]]
    return recalled(asked.cast.books, texts, sizer(asked.model), most)


def default_of(setting: str | None, offered: Sequence[ModelInfo]) -> str:
    """Which model speaks when none was chosen. Raises `ModelNotFound` if there is none."""
    if setting is not None:
        return setting
    for model in sorted(offered, key=lambda model: not model.ready):
        return model.id
    raise ModelNotFound("No model is on offer: is the engine running?")


def _generation(asked: Asked, message: Message, live: LiveGeneration) -> Generation:
    return Generation(
        message.key,
        live.epoch,
        asked.viewer.user_id,
        asked.model.id,
        {**message.meta, **asked.meta()},
        message.body,
    )


def _remember(path: Path, generation: Generation, state: State) -> None:
    """Put the finished answer where its placeholder stands in the warm path."""
    turn = path.turn(generation.key.seq)
    if turn is None:
        return
    for message in turn.candidates:
        if message.key == generation.key:
            done = message._replace(state=state, body=generation.text, meta=generation.meta)
            path.put(with_candidate(turn, done))
