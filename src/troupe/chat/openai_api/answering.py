"""Answers in OpenAI's shapes: whole, or as a stream of chunks. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from troupe.gateway.types import Finish, Usage

DONE = b"data: [DONE]\n\n"


class Shape:
    """The names that one endpoint uses. `chat` or plain completions."""

    def __init__(self, chat: bool, answer_id: str, created: int, model: str) -> None:
        self._chat = chat
        prefix = "chatcmpl-" if chat else "cmpl-"
        self._head = {"id": prefix + answer_id, "created": created, "model": model}

    def whole(self, text: str, finish: Finish) -> bytes:
        """The answer of a request that did not ask for a stream."""
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": finish.reason,
            "logprobs": None,
        }
        if self._chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        kind = "chat.completion" if self._chat else "text_completion"
        body = {**self._head, "object": kind, "choices": [choice], "usage": usage(finish.usage)}
        return orjson.dumps(body)

    def chunk(
        self, text: str | None, finish_reason: str | None = None, first: bool = False
    ) -> bytes:
        """One event of a stream."""
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": finish_reason,
            "logprobs": None,
        }
        if self._chat:
            delta: dict[str, Any] = {"role": "assistant"} if first else {}
            if text is not None:
                delta["content"] = text
            choice["delta"] = delta
        else:
            choice["text"] = text or ""
        return self._event([choice], None)

    def usage_chunk(self, finish: Finish) -> bytes:
        """The last event when `include_usage` was asked for."""
        return self._event([], usage(finish.usage))

    def _event(self, choices: list[dict[str, Any]], used: dict[str, Any] | None) -> bytes:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        body = {**self._head, "object": kind, "choices": choices}
        if used is not None:
            body["usage"] = used
        return b"data: " + orjson.dumps(body) + b"\n\n"


def usage(used: Usage) -> dict[str, Any]:
    """OpenAI's `usage`; `cached_tokens` tells what was reused."""
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.prompt_tokens + used.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
    }
