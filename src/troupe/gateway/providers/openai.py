"""Any server that speaks OpenAI's API: hosted ones, Ollama, llama-server, vLLM, LM Studio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from troupe.gateway.errors import UpstreamError
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo, Sampling
from troupe.gateway.upstream import TimeLimits, Upstream
from troupe.prompt import ChatFormat, EstimateTokenizer

from .answer import answered

UNKNOWN_CONTEXT = 8192  # tokens, where a server does not say
MAX_MODELS = 1000
_STANDARD = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "max_tokens")
_EXTENDED = ("top_k", "min_p", "repetition_penalty")


class OpenAIProvider:
    """`extended`: the server takes the sampling parameters that OpenAI's own refuses."""

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str | None = None,
        extended: bool = False,
        limits: TimeLimits | None = None,
    ) -> None:
        self.name = name
        self._upstream = Upstream(base_url, key, limits)
        self._sampling = _STANDARD + (_EXTENDED if extended else ())

    async def models(self) -> list[ModelInfo]:
        """Raises `GatewayError` if the server does not list its models."""
        answer = await self._upstream.get_json("/models")
        listed = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(listed, list):
            raise UpstreamError(f"{self._upstream.base_url}/models lists no models")
        return [
            self._info(entry)
            for entry in listed[:MAX_MODELS]
            if isinstance(entry, dict) and isinstance(entry.get("id"), str)
        ]

    def _info(self, entry: dict[str, Any]) -> ModelInfo:
        return ModelInfo(
            id=f"{self.name}:{entry['id']}",
            name=entry["id"],
            provider=self.name,
            context_length=context_length(entry),
            tokenizer=EstimateTokenizer(),
            chat_format=ChatFormat.MESSAGES,
        )

    def stream(self, request: GenerationRequest, model: ModelInfo) -> AsyncIterator[Delta | Finish]:
        """Make one answer."""
        body: dict[str, Any] = {
            "model": model.name,
            "messages": list(request.messages or ()),
            "stream": True,
            "stream_options": {"include_usage": True},
            **sampled(request.sampling, self._sampling),
        }
        if request.stop:
            body["stop"] = list(request.stop)
        return answered(self._upstream.events("/chat/completions", body), model)

    async def close(self) -> None:
        await self._upstream.close()


def sampled(sampling: Sampling, names: tuple[str, ...]) -> dict[str, Any]:
    """The parameters that were chosen, by OpenAI's names."""
    values = {name: getattr(sampling, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def context_length(entry: dict[str, Any]) -> int:
    """What a server says of a model's context: vLLM, LM Studio and llama-server each in its way."""
    meta = entry.get("meta") if isinstance(entry.get("meta"), dict) else {}
    said = (
        entry.get("max_model_len"),
        entry.get("loaded_context_length"),
        entry.get("context_length"),
        (meta or {}).get("n_ctx_train"),
    )
    found = [value for value in said if isinstance(value, int) and value > 0]
    return found[0] if found else UNKNOWN_CONTEXT
