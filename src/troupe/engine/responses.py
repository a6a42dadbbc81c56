"""The JSON that the HTTP API answers: OpenAI's shapes, and its errors. Pure."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
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
from troupe.engine.logprobs import TokenLogprob
from troupe.engine.prefixes import write_hash
from troupe.engine.types import Chunk, Usage

LEAST_LOGPROB = -9999.0  # what OpenAI says of a token that is as good as impossible


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
        status = {"model_not_found": 404, "body_too_large": 413, "body_too_slow": 408}.get(
            error.code or "", 400
        )
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
    candidates: int = 1
    bytes_of: Sequence[bytes] | None = None  # each token's; set if the request wants logprobs
    created: int = field(default_factory=lambda: int(time.time()))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    # Of a completion's candidates: characters of the tokens told so far.
    _told: dict[int, int] = field(default_factory=dict)

    def whole(self, chunks: Sequence[Chunk]) -> dict[str, Any]:
        """The answer in one piece."""
        usage = chunks[-1].usage
        assert usage is not None
        of: list[list[Chunk]] = [[] for _ in range(self.candidates)]
        for chunk in chunks:
            of[chunk.index].append(chunk)
        return {
            **self._envelope(streamed=False),
            "choices": [self._whole_choice(index, of[index]) for index in range(self.candidates)],
            "usage": usage_json(usage),
            "timings": timings_json(usage),
        }

    def openings(self) -> Iterator[dict[str, Any]]:
        """The first events of a stream, before any text, where there are any."""
        for index in range(self.candidates):
            choice = self._choice(index, None, ())
            if self.prompt_ids is not None:
                choice["prompt_token_ids"] = list(self.prompt_ids)
            if self.chat:
                choice["delta"] = {"role": "assistant", "content": ""}
            elif self.prompt_ids is not None:
                choice["text"] = ""
            else:
                return
            yield {**self._envelope(streamed=True), "choices": [choice]}

    def tells(self, chunk: Chunk) -> bool:
        """Whether a chunk has anything to say in a stream."""
        if chunk.text or chunk.finish_reason:
            return True
        return self.token_ids or bool(chunk.logprobs)

    def piece(self, chunk: Chunk) -> dict[str, Any]:
        """An event of a stream."""
        choice = self._choice(chunk.index, chunk.finish_reason, chunk.logprobs)
        if self.chat:
            choice["delta"] = {"content": chunk.text} if chunk.text else {}
        else:
            choice["text"] = chunk.text
        if self.token_ids:
            choice["token_ids"] = list(chunk.token_ids)
        choice |= prefix_json(chunk)
        return {**self._envelope(streamed=True), "choices": [choice]}

    def _whole_choice(self, index: int, chunks: Sequence[Chunk]) -> dict[str, Any]:
        text = "".join(chunk.text for chunk in chunks)
        logprobs = [one for chunk in chunks for one in chunk.logprobs]
        choice = self._choice(index, chunks[-1].finish_reason, logprobs)
        if self.chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        if self.prompt_ids is not None:
            choice["prompt_token_ids"] = list(self.prompt_ids)
        if self.token_ids:
            choice["token_ids"] = [token for chunk in chunks for token in chunk.token_ids]
        return choice | prefix_json(chunks[-1])

    def _choice(
        self, index: int, finish_reason: str | None, logprobs: Sequence[TokenLogprob]
    ) -> dict[str, Any]:
        told: dict[str, Any] | None = None
        if self.bytes_of is not None and logprobs:
            if self.chat:
                told = chat_logprobs(logprobs, self.bytes_of)
            else:
                start = self._told.get(index, 0)
                told = completion_logprobs(logprobs, self.bytes_of, start)
                self._told[index] = told["text_offset"][-1] + len(told["tokens"][-1])
        return {"index": index, "logprobs": told, "finish_reason": finish_reason}

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


def chat_logprobs(told: Sequence[TokenLogprob], bytes_of: Sequence[bytes]) -> dict[str, Any]:
    """`logprobs` of a chat completion's choice."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        known = _bytes(token, bytes_of)
        return {
            "token": known.decode("utf-8", "replace"),
            "logprob": max(logprob, LEAST_LOGPROB),
            "bytes": list(known),
        }

    content = [
        {**entry(one.token, one.logprob), "top_logprobs": [entry(*each) for each in one.top]}
        for one in told
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(
    told: Sequence[TokenLogprob], bytes_of: Sequence[bytes], start: int
) -> dict[str, Any]:
    """`logprobs` of a completion's choice, of which `start` characters have been told. A token
    that is no text by itself is written as OpenAI does, `bytes:\\xe2\\x80`."""

    def name(token: int) -> str:
        known = _bytes(token, bytes_of)
        try:
            return known.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in known)

    tokens = [name(one.token) for one in told]
    offsets = [start]
    for token in tokens[:-1]:
        offsets.append(offsets[-1] + len(token))
    likeliest = [
        {name(id_): max(logprob, LEAST_LOGPROB) for id_, logprob in one.top}
        | {name(one.token): max(one.logprob, LEAST_LOGPROB)}
        for one in told
    ]
    return {
        "tokens": tokens,
        "token_logprobs": [max(one.logprob, LEAST_LOGPROB) for one in told],
        "top_logprobs": likeliest,
        "text_offset": offsets,
    }


def _bytes(token: int, bytes_of: Sequence[bytes]) -> bytes:
    """Of a model with more rows than its tokenizer has tokens, the others are no text."""
    return bytes_of[token] if token < len(bytes_of) else b""
