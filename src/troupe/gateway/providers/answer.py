"""From a stream of OpenAI's events to the gateway's: text, the end, and what it took."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from troupe.gateway.errors import UpstreamError
from troupe.gateway.types import Delta, Finish, FinishReason, ModelInfo, Usage

_REASONS: dict[str, FinishReason] = {"length": "length", "cancelled": "cancelled"}


async def answered(
    events: AsyncGenerator[dict[str, Any], None], model: ModelInfo
) -> AsyncIterator[Delta | Finish]:
    """Deltas, then one `Finish`. Raises `UpstreamError` if the stream ends without its end."""
    began = time.perf_counter()
    first = 0.0
    reason: FinishReason | None = None
    used: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    pieces = 0
    async with aclosing(events):
        async for event in events:
            used = event.get("usage") or used
            if event.get("timings"):
                extra["timings"] = event["timings"]
            for choice in event.get("choices") or ():
                text = _text(choice)
                if text:
                    first = first or time.perf_counter()
                    pieces += 1
                    yield Delta(text)
                if choice.get("finish_reason"):
                    reason = _REASONS.get(choice["finish_reason"], "stop")
    if reason is None:
        raise UpstreamError(f"{model.provider} ended the answer without an end")
    now = time.perf_counter()
    details = used.get("prompt_tokens_details") or {}
    usage = Usage(
        prompt_tokens=int(used.get("prompt_tokens") or 0),
        cached_tokens=int(details.get("cached_tokens") or 0),
        completion_tokens=int(used.get("completion_tokens") or pieces),
        ttft_ms=((first or now) - began) * 1000,
        total_ms=(now - began) * 1000,
    )
    yield Finish(reason, usage, model.id, model.provider, extra)


def _text(choice: Any) -> str:
    """A piece of text: of a chat completion's delta, or of a completion."""
    if not isinstance(choice, dict):
        raise UpstreamError("a choice that is no object")
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    if text is not None and not isinstance(text, str):
        raise UpstreamError("a piece of an answer that is no text")
    return text or ""
