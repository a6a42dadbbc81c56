"""Troupe's own engine, over HTTP: token ids in, and keys and values kept by conversation.

The tokenizer is the one that the engine serves with its model; while the engine starts, the
model's folder stands in for it, so that there is a model to show.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from troupe.gateway import metrics
from troupe.gateway.errors import GatewayError, ProviderUnavailable, UpstreamError
from troupe.gateway.providers.answer import estimated_tokens
from troupe.gateway.providers.delta import Left, Place, place_in, prompt_fields
from troupe.gateway.providers.http import Http
from troupe.gateway.providers.openai import sampling_json
from troupe.gateway.providers.refusals import PrefixNotHeld
from troupe.gateway.providers.streams import pieces
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo
from troupe.prompt import (
    ChatFormat,
    HuggingFaceTokenizer,
    Layout,
    TokenizerError,
    TokenSequence,
)

MAX_SALT = 256  # characters, the engine's limit
MAX_STOPS = 16
SESSION_HEADER = "x-session-id"  # what Ray Serve reads


@dataclass(frozen=True, slots=True)
class _Known:
    """What the engine said of its model last."""

    name: str
    context_length: int
    etag: str
    tokenizer: HuggingFaceTokenizer


class TroupeProvider:
    """One engine, which serves one model, known by its bare name."""

    def __init__(self, address: str, model_dir: Path | None = None, name: str = "troupe") -> None:
        """`address` as in `http://127.0.0.1:8010`; `model_dir` is what a local engine will serve.
        Raises `ProviderUnavailable` if the address is none."""
        self.name = name
        self._http = Http(name, address, connect_s=2.0)
        self._model_dir = model_dir
        self._known: _Known | None = None
        self._left = Left()

    async def models(self) -> list[ModelInfo]:
        """The engine's model, ready or not. Raises `ProviderUnavailable` if nothing is known."""
        try:
            why_not = await self._ask()
        except GatewayError as error:
            why_not = f"the engine does not answer: {error}"
            if self._known is None:
                self._known = await asyncio.to_thread(self._from_folder)
        if self._known is None:
            raise ProviderUnavailable(why_not)
        return [self._info(self._known, why_not)]

    def stream(
        self, request: GenerationRequest, model: ModelInfo
    ) -> AsyncGenerator[Delta | Finish, None]:
        """One answer to `request.token_ids`, or to `request.messages` by the model's own chat
        template."""
        ids, messages = request.token_ids, list(request.messages or ())
        if ids is None:
            body = {"messages": messages, **_fields(request, model)}
            events = self._post("v1/chat/completions", body, request)
        else:
            events = self._completion(request, ids, _fields(request, model))
        return pieces(
            self.name, model.id, events, lambda: len(ids or ()) or estimated_tokens(messages)
        )

    def _post(
        self, path: str, body: dict[str, Any], request: GenerationRequest
    ) -> AsyncGenerator[str, None]:
        headers = _affinity(request.conversation)
        return self._http.events(path, body, request.request_id, headers)

    async def _completion(
        self, request: GenerationRequest, ids: Sequence[int], fields: dict[str, Any]
    ) -> AsyncGenerator[str, None]:
        """The events of an answer to token ids. Of a prompt with hashes goes out what the engine
        is not known to hold; what it holds no more is sent again, from where it says."""
        salt = fields["cache_salt"]
        tokens = ids if isinstance(ids, TokenSequence) else None
        prefix = self._left.prefix(salt, tokens) if tokens is not None else None
        kind = "delta" if prefix is not None else "whole"
        while True:
            body = {**prompt_fields(ids, prefix), **fields}
            if tokens is not None:
                body["return_prefix"] = True
            events = self._post("v1/completions", body, request)
            metrics.PROMPTS.labels(self.name, kind).inc()
            try:
                async with aclosing(events):
                    begun = False
                    async for event in events:
                        place = place_in(event)
                        if tokens is not None and (place is not None or not begun):
                            self._left.remember(salt, tokens, place)
                        begun = True
                        yield event
                return
            except PrefixNotHeld as gone:
                if prefix is None or tokens is None:
                    raise
                # The first time from a mark that is held; if even that goes, the whole.
                held = gone.length if kind == "delta" and gone.length < prefix.length else 0
                whole = held < tokens.block or held % tokens.block
                prefix = None if whole else Place(held, tokens.hash_to(held))
                kind = "resent"

    async def close(self) -> None:
        await self._http.close()

    async def _ask(self) -> str:
        """Learn what the engine serves; gives why it is not ready, or nothing."""
        data = await self._http.get_json("v1/models")
        try:
            found = data["data"][0]
            name, context = str(found["id"]), int(found["max_model_len"])
        except (LookupError, TypeError, ValueError) as error:
            raise UpstreamError(f"{self.name} sent no list of models") from error
        path = f"v1/models/{quote(name, safe='')}/tokenizer"
        etag = await self._http.etag(path)
        known = self._known
        if known is None or not etag or (known.name, known.etag) != (name, etag):
            source = await self._http.get(path)
            tokenizer = await asyncio.to_thread(_tokenizer, source)
            self._known = _Known(name, context, etag, tokenizer)
        elif known.context_length != context:
            self._known = _Known(name, context, etag, known.tokenizer)
        try:
            await self._http.get("readyz")
        except GatewayError as error:
            return str(error)
        return ""

    def _from_folder(self) -> _Known | None:
        """What a local engine will say when it has started; None if the folder is not there."""
        folder = self._model_dir
        if folder is None:
            return None
        try:
            config: Any = json.loads((folder / "config.json").read_text("utf-8"))
            context = int(config["max_position_embeddings"])
            tokenizer = _tokenizer((folder / "tokenizer.json").read_bytes())
        except (OSError, LookupError, TypeError, ValueError, UpstreamError):
            return None  # the engine itself says what is wrong with its folder
        return _Known(folder.absolute().name, context, "", tokenizer)

    def _info(self, known: _Known, why_not: str) -> ModelInfo:
        return ModelInfo(
            id=known.name,
            name=known.name,
            provider=self.name,
            context_length=known.context_length,
            tokenizer=known.tokenizer,
            chat_format=_format(known.tokenizer),
            ready=not why_not,
            why_not=why_not,
        )


# Replicas of one engine send the same tokenizer: kept once, and told to be the same by that.
_tokenizers: WeakValueDictionary[bytes, HuggingFaceTokenizer] = WeakValueDictionary()


def _tokenizer(source: bytes) -> HuggingFaceTokenizer:
    digest = hashlib.sha256(source).digest()
    found = _tokenizers.get(digest)
    if found is None:
        try:
            found = HuggingFaceTokenizer(source)
        except TokenizerError as error:
            raise UpstreamError(f"the engine's tokenizer cannot be used: {error}") from error
        # Two threads may have made it at once: all get the first one's.
        found = _tokenizers.setdefault(digest, found)
    return found


def _affinity(conversation: str) -> dict[str, str]:
    """What a proxy in front of several engines needs to send a conversation to the same one."""
    return {SESSION_HEADER: hashlib.sha256(conversation.encode(errors="replace")).hexdigest()}


def _format(tokenizer: HuggingFaceTokenizer) -> ChatFormat:
    """Token ids where the vocabulary has the layout's tokens, else the model's own template."""
    layout = Layout()
    try:
        for name in (layout.begin, layout.end, *layout.roles.values()):
            tokenizer.special(name)
    except KeyError:
        return ChatFormat.MESSAGES
    return ChatFormat.TOKENS


def _fields(request: GenerationRequest, model: ModelInfo) -> dict[str, Any]:
    """All of a body but the prompt."""
    # A conversation shares keys and values with itself alone: what is found in the cache is told,
    # and would tell whoever guesses right what others have written.
    salt = request.conversation
    if len(salt) > MAX_SALT:
        salt = hashlib.sha256(salt.encode()).hexdigest()
    return {
        "model": model.name,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.sampling.max_tokens,
        "cache_salt": salt,
        "return_token_ids": "answer",
        **({"resume_token_ids": list(request.resumed)} if request.resumed else {}),
        **sampling_json(request.sampling, openai_only=False),
        **({"stop": list(request.stop[:MAX_STOPS])} if request.stop else {}),
    }
