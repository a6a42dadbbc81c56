"""An answer as it comes: a provider's events to pieces of text and an end."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from troupe.gateway.errors import GatewayError
from troupe.gateway.providers.answer import AnswerReader
from troupe.gateway.types import Delta, Finish


async def pieces(
    provider: str, model: str, events: AsyncGenerator[str, None], prompt: Callable[[], int]
) -> AsyncGenerator[Delta | Finish, None]:
    """The pieces of one answer, timed from the first step on. `prompt` estimates the prompt's
    tokens; it is asked only where the provider does not say. Raises what `events` and
    `AnswerReader` raise, but nothing once the answer is whole: then only its usage is missing."""
    started = time.monotonic()
    first = 0.0
    reader = AnswerReader(provider)
    async with aclosing(events):
        try:
            async for data in events:
                text = reader.push(data)
                ids = reader.take_ids()
                if text or ids:
                    first = first or time.monotonic()
                    yield Delta(text, ids)
                if reader.done:
                    break
        except GatewayError:
            if not reader.whole:
                raise
    ended = time.monotonic()
    ttft = ((first or ended) - started) * 1e3
    yield reader.finish(model, provider, prompt, ttft, (ended - started) * 1e3)
