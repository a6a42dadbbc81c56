"""One HTTP exchange over ASGI: a body read under a limit, and an answer that ends when the client
goes away. Knows nothing of models. Called by the server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from troupe.engine.errors import InvalidRequest

T = TypeVar("T")
Event = Mapping[str, Any]


async def read_json(request: Request, limit: int) -> Any:
    """The body as JSON (RFC 8259: UTF-8, no NaN). Raises `InvalidRequest`, and
    `ClientDisconnect` if it never arrives whole."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise InvalidRequest(f"the body is over {limit} bytes", None, "body_too_large")
    try:
        data = json.loads(bytes(body).decode("utf-8"), parse_constant=_refuse_constant)
        if b"\\u" in body:  # an escaped half of a surrogate pair is JSON, but it is no text
            json.dumps(data, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest("the body holds half of a surrogate pair, which is no text") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8: {error.reason} at {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from error
    return data


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await `work`, but cancel it and raise `ClientDisconnect` if the client goes away first."""
    task = asyncio.ensure_future(work)
    watch = asyncio.create_task(_gone(request.receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return await task
    finally:
        await _cancel(task, watch)


class EventStream:
    """A response of server-sent events, each a JSON object, with `[DONE]` at the end.

    The iterator is closed at once when the client goes away, even while it waits.
    """

    def __init__(self, events: AsyncIterator[Event], headers: Mapping[str, str]) -> None:
        self._events = events
        self._headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            **headers,
        }

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in self._headers.items()]
        sending = asyncio.create_task(self._send_all(raw, send))
        watch = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((sending, watch), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                with suppress(OSError):  # the client went away while it was being written to
                    await sending
        finally:
            await _cancel(sending, watch)

    async def _send_all(self, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for event in self._events:
                text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
                await _send_piece(send, f"data: {text}\n\n", more=True)
            await _send_piece(send, "data: [DONE]\n\n", more=False)
        finally:
            close: Callable[[], Awaitable[None]] | None = getattr(self._events, "aclose", None)
            if close is not None:
                await close()


async def _send_piece(send: Send, text: str, more: bool) -> None:
    await send({"type": "http.response.body", "body": text.encode("utf-8"), "more_body": more})


async def _gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
