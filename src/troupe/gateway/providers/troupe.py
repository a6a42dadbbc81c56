"""Troupe's own engine: token ids in, so that keys and values of earlier turns are found again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from troupe.gateway.errors import GatewayError, UpstreamError
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo
from troupe.gateway.upstream import TimeLimits, Upstream
from troupe.prompt import ChatFormat, HuggingFaceTokenizer, Layout

from .answer import answered
from .openai import sampled

_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
    "frequency_penalty", "seed", "max_tokens",
)  # fmt: skip
STARTING = "the engine is starting"


class TroupeProvider:
    """An engine at `base_url`. What it serves is asked once and known while it restarts."""

    name = "troupe"

    def __init__(self, base_url: str, limits: TimeLimits | None = None) -> None:
        self._upstream = Upstream(base_url, limits=limits)
        self._known: dict[str, ModelInfo] = {}

    async def models(self) -> list[ModelInfo]:
        """The engine's model; not ready, with the reason, while the engine is away."""
        try:
            answer = await self._upstream.get_json("/v1/models")
            names = [entry["id"] for entry in answer["data"]]
        except (KeyError, TypeError) as error:
            raise UpstreamError(f"{self._upstream.base_url} lists no models") from error
        except GatewayError:
            if not self._known:
                raise
            return [_away(model) for model in self._known.values()]
        self._known = {name: self._known.get(name) or await self._ask(name) for name in names}
        return list(self._known.values())

    async def _ask(self, name: str) -> ModelInfo:
        """A model's tokenizer and context, from the engine itself: it may run elsewhere."""
        path = f"/v1/models/{name}"
        context = await self._upstream.get_json(f"{path}/context")
        tokenizer = HuggingFaceTokenizer(await self._upstream.get(f"{path}/tokenizer"))
        return ModelInfo(
            id=name,
            name=name,
            provider=self.name,
            context_length=int(context["context_length"]),
            tokenizer=tokenizer,
            chat_format=_format(tokenizer),
        )

    def stream(self, request: GenerationRequest, model: ModelInfo) -> AsyncIterator[Delta | Finish]:
        """Make one answer. The conversation's name travels for routing and tracing."""
        body: dict[str, Any] = {
            "model": model.name,
            "stream": True,
            "stream_options": {"include_usage": True},
            "user": request.conversation,
            **sampled(request.sampling, _SAMPLING),
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.token_ids is not None:
            body["prompt"] = list(request.token_ids)
            return answered(self._upstream.events("/v1/completions", body), model)
        body["messages"] = list(request.messages or ())
        return answered(self._upstream.events("/v1/chat/completions", body), model)

    async def close(self) -> None:
        await self._upstream.close()


def _away(model: ModelInfo) -> ModelInfo:
    return replace(model, ready=False, why_not=STARTING)


def _format(tokenizer: HuggingFaceTokenizer) -> ChatFormat:
    """Token ids where the vocabulary has the layout's tokens, else the model's own template."""
    layout = Layout()
    try:
        for name in (layout.begin, layout.end, *layout.roles.values()):
            tokenizer.special(name)
    except KeyError:
        return ChatFormat.MESSAGES
    return ChatFormat.TOKENS
