"""Any server that speaks OpenAI's API: hosted ones, Ollama, llama-server, vLLM, LM Studio."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from troupe.gateway.errors import UpstreamError
from troupe.gateway.providers.answer import estimated_tokens
from troupe.gateway.providers.http import Http
from troupe.gateway.providers.streams import pieces
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo, Sampling
from troupe.prompt import ChatFormat, EstimateTokenizer

MAX_MODELS = 500
# What servers call the length of a model's context; the first that is there counts.
_CONTEXT_KEYS = ("max_model_len", "loaded_context_length", "context_length", "context_window",
                 "max_context_length")  # fmt: skip
DEFAULT_CONTEXT = 4096  # what Ollama and LM Studio load a model with, unless told otherwise
_NO_CHAT = ("embed", "whisper", "tts", "dall-e", "moderation", "rerank", "transcribe", "image")
_OPENAI_HOST = "api.openai.com"
_OPENAI_CONTEXT = 128_000


class OpenAIProvider:
    """One base URL. Its models' ids are `name:model`."""

    def __init__(
        self, name: str, base_url: str, api_key: str | None = None, connect_s: float = 5.0
    ) -> None:
        """`base_url` ends with the version, as in `http://127.0.0.1:11434/v1`. Raises
        `ProviderUnavailable` if it is no address."""
        self.name = name
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = Http(name, base_url, headers, connect_s)
        self._tokenizer = EstimateTokenizer()
        # OpenAI itself refuses fields it does not know; everyone else ignores them.
        self._strict = self._http.host == _OPENAI_HOST

    async def models(self) -> list[ModelInfo]:
        """The chat models on offer. Raises the gateway's errors."""
        data = await self._http.get_json("models")
        listed = data.get("data") if isinstance(data, dict) else None
        if not isinstance(listed, list):
            raise UpstreamError(f"{self.name} sent no list of models")
        return [
            self._model(item)
            for item in listed[:MAX_MODELS]
            if isinstance(item, dict) and _can_chat(item)
        ]

    def stream(
        self, request: GenerationRequest, model: ModelInfo
    ) -> AsyncGenerator[Delta | Finish, None]:
        """One answer to `request.messages`."""
        assert request.messages is not None, "this provider's models take messages"
        messages = list(request.messages)
        body = self._body(request, model, messages)
        events = self._http.events("chat/completions", body, request.request_id)
        return pieces(self.name, model.id, events, lambda: estimated_tokens(messages))

    async def close(self) -> None:
        await self._http.close()

    def _model(self, item: dict[str, Any]) -> ModelInfo:
        return ModelInfo(
            id=f"{self.name}:{item['id']}",
            name=item["id"],
            provider=self.name,
            context_length=self._context(item),
            tokenizer=self._tokenizer,
            chat_format=ChatFormat.MESSAGES,
        )

    def _context(self, item: dict[str, Any]) -> int:
        meta = item.get("meta")
        found = [item.get(key) for key in _CONTEXT_KEYS]
        if isinstance(meta, dict):  # llama-server
            found += [meta.get("n_ctx"), meta.get("n_ctx_train")]
        for length in found:
            if type(length) is int and length > 0:
                return length
        return _OPENAI_CONTEXT if self._strict else DEFAULT_CONTEXT

    def _body(
        self, request: GenerationRequest, model: ModelInfo, messages: list[dict[str, Any]]
    ) -> dict[str, Any]:
        limit = "max_completion_tokens" if self._strict else "max_tokens"
        return {
            "model": model.name,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            limit: request.sampling.max_tokens,
            **sampling_json(request.sampling, self._strict),
            **({"stop": list(request.stop[:4])} if request.stop else {}),
        }


_COMMON = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")
_FURTHER = ("top_k", "min_p", "repetition_penalty")


def sampling_json(sampling: Sampling, openai_only: bool) -> dict[str, Any]:
    """The fields that were given."""
    names = _COMMON if openai_only else _COMMON + _FURTHER
    found = {name: getattr(sampling, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _can_chat(item: dict[str, Any]) -> bool:
    name = item.get("id")
    return (
        isinstance(name, str)
        and 0 < len(name) <= 256
        and not any(word in name.lower() for word in _NO_CHAT)
    )
