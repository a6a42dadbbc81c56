"""One HTTP exchange over ASGI: a body read under a limit, and an answer that ends when the client
goes away. Knows nothing of models. Called by the server.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from troupe.engine.errors import InvalidRequest, Overloaded

log = logging.getLogger(__name__)

T = TypeVar("T")
Event = Mapping[str, Any]


@dataclass(slots=True)
class Bodies:
    """Reads bodies, so that no number of clients, however slow, holds much memory."""

    max_bytes: int  # of a body
    max_total: int  # of all that are being read
    seconds: float  # that a body may take to arrive
    held: int = 0  # bytes, now

    async def json(self, request: Request, max_bytes: int | None = None) -> Any:
        """The body as JSON (RFC 8259: UTF-8, no NaN). Raises `InvalidRequest`, `Overloaded`, and
        `ClientDisconnect` if it never arrives whole."""
        body = bytearray()
        try:
            async with asyncio.timeout(self.seconds):
                async for piece in request.stream():
                    self._take(body, piece, max_bytes or self.max_bytes)
        except TimeoutError as error:
            why = f"the body took over {self.seconds:g} seconds to arrive"
            raise InvalidRequest(why, None, "body_too_slow") from error
        finally:
            self.held -= len(body)
        return parse_json(bytes(body))

    def _take(self, body: bytearray, piece: bytes, limit: int) -> None:
        if len(body) + len(piece) > limit:
            raise InvalidRequest(f"the body is over {limit} bytes", None, "body_too_large")
        if self.held + len(piece) > self.max_total:
            raise Overloaded(f"bodies of {self.held} bytes are being read already", 1)
        body += piece
        self.held += len(piece)


def parse_json(body: bytes) -> Any:
    """JSON without NaN and without halves of surrogate pairs. Raises `InvalidRequest`."""
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
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

    The iterator is closed at once when the client goes away, even while it waits, and when it
    takes nothing for `stall_s` seconds. What it has not taken is bounded by the server's buffer.
    """

    def __init__(
        self, events: AsyncIterator[Event], headers: Mapping[str, str], stall_s: float
    ) -> None:
        self._events = events
        self._stall_s = stall_s
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
                try:
                    await sending
                except TimeoutError:
                    log.info("a client stopped reading", extra={"seconds": self._stall_s})
                except OSError:
                    log.info("a client went away while it was being written to")
        finally:
            await _cancel(sending, watch)

    async def _send_all(self, headers: list[tuple[bytes, bytes]], send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for event in self._events:
                text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
                await self._send(send, f"data: {text}\n\n", more=True)
            await self._send(send, "data: [DONE]\n\n", more=False)
        finally:
            close: Callable[[], Awaitable[None]] | None = getattr(self._events, "aclose", None)
            if close is not None:
                await close()

    async def _send(self, send: Send, text: str, more: bool) -> None:
        """Raises `TimeoutError` if the client does not take it."""
        body = text.encode("utf-8")
        async with asyncio.timeout(self._stall_s):
            await send({"type": "http.response.body", "body": body, "more_body": more})


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
