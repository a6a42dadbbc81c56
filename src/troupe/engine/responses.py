"""The JSON that the HTTP API answers: OpenAI's shapes, and its errors. Pure."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from troupe.engine.errors import (
    EngineError,
    EngineStopped,
    InvalidRequest,
    NotAllowed,
    Overloaded,
    PrefixGone,
)
from troupe.engine.prefixes import write_hash
from troupe.engine.types import Chunk, Usage


@dataclass(frozen=True, slots=True)
class HttpError:
    """An error as it goes out."""

    status: int
    message: str
    kind: str
    param: str | None = None
    code: str | None = None
    retry_after_s: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
            **self.more,
        }
        return {"error": error}

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


def http_error(error: EngineError) -> HttpError:
    """The one place where the engine's errors become HTTP's."""
    message = str(error)
    if isinstance(error, InvalidRequest):
        status = {"model_not_found": 404, "body_too_large": 413}.get(error.code or "", 400)
        return HttpError(status, message, "invalid_request_error", error.param, error.code)
    if isinstance(error, PrefixGone):
        held = {"length": error.length, "hash": write_hash(error.digest)}
        return HttpError(
            409, message, "invalid_request_error", "prefix", "prefix_not_held", more={"held": held}
        )
    if isinstance(error, NotAllowed):
        return HttpError(403, message, "permission_error", None, "not_allowed")
    if isinstance(error, Overloaded):
        after = error.retry_after_s
        return HttpError(429, message, "rate_limit_error", None, "queue_full", after)
    if isinstance(error, EngineStopped):
        return HttpError(503, message, "server_error", None, "engine_stopped", 1)
    return HttpError(500, message, "server_error")


def usage_json(usage: Usage) -> dict[str, Any]:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def timings_json(usage: Usage) -> dict[str, float]:
    """Where the time went, in milliseconds."""
    return {
        "queue_ms": round(usage.queue_s * 1e3, 3),
        "prefill_ms": round(usage.prefill_s * 1e3, 3),
        "decode_ms": round(usage.decode_s * 1e3, 3),
    }


def prefix_json(chunk: Chunk) -> dict[str, Any]:
    """What the last chunk says of the memory that its answer leaves: the next request's `prefix`.
    Nothing if it was not asked for, or less than a page."""
    prefix = chunk.prefix
    if prefix is None or prefix.length == 0:
        return {}
    return {"prefix": {"length": prefix.length, "hash": write_hash(prefix.digest)}}


@dataclass(frozen=True, slots=True)
class Shape:
    """How the answers to one request look."""

    model: str
    chat: bool
    prompt_ids: Sequence[int] | None  # set if the request wants the prompt's token ids
    token_ids: bool = False  # whether it wants the answer's
    created: int = field(default_factory=lambda: int(time.time()))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def whole(self, chunks: Sequence[Chunk]) -> dict[str, Any]:
        """The answer in one piece."""
        text = "".join(chunk.text for chunk in chunks)
        last = chunks[-1]
        assert last.usage is not None
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": last.finish_reason}
        if self.chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        if self.prompt_ids is not None:
            choice["prompt_token_ids"] = list(self.prompt_ids)
        if self.token_ids:
            choice["token_ids"] = [token for chunk in chunks for token in chunk.token_ids]
        choice |= prefix_json(last)
        return {
            **self._envelope(streamed=False),
            "choices": [choice],
            "usage": usage_json(last.usage),
            "timings": timings_json(last.usage),
        }

    def opening(self) -> dict[str, Any] | None:
        """The first event of a stream, before any text, where there is one."""
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": None}
        if self.prompt_ids is not None:
            choice["prompt_token_ids"] = list(self.prompt_ids)
        if self.chat:
            choice["delta"] = {"role": "assistant", "content": ""}
        elif self.prompt_ids is not None:
            choice["text"] = ""
        else:
            return None
        return {**self._envelope(streamed=True), "choices": [choice]}

    def piece(self, chunk: Chunk) -> dict[str, Any]:
        """An event of a stream."""
        choice: dict[str, Any] = {
            "index": 0,
            "logprobs": None,
            "finish_reason": chunk.finish_reason,
        }
        if self.chat:
            choice["delta"] = {"content": chunk.text} if chunk.text else {}
        else:
            choice["text"] = chunk.text
        if self.token_ids:
            choice["token_ids"] = list(chunk.token_ids)
        choice |= prefix_json(chunk)
        return {**self._envelope(streamed=True), "choices": [choice]}

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The last event of a stream that asked for usage."""
        return {
            **self._envelope(streamed=True),
            "choices": [],
            "usage": usage_json(usage),
            "timings": timings_json(usage),
        }

    def _envelope(self, streamed: bool) -> dict[str, Any]:
        kind = "text_completion"
        if self.chat:
            kind = "chat.completion.chunk" if streamed else "chat.completion"
        prefix = "chatcmpl" if self.chat else "cmpl"
        return {
            "id": f"{prefix}-{self.id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
        }
