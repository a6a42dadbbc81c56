"""The id that follows a request through every process, and its place in a trace.

Knows nothing of logs or OpenTelemetry: `logs` reads the id for each line, `traces` sets the trace
context. Servers wrap their app in `RequestIdMiddleware`; clients send `headers()` along.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

current: ContextVar[str | None] = ContextVar("troupe_request_id", default=None)
# W3C Trace Context: the caller's, or that of the span we are in.
traceparent: ContextVar[str | None] = ContextVar("troupe_traceparent", default=None)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def new() -> str:
    """A fresh id."""
    return uuid.uuid4().hex


def accepted(given: str | None) -> str:
    """The given id if it is a sane one (1 to 128 of `A-Za-z0-9._:-`), else a fresh one."""
    return given if given and _REQUEST_ID.fullmatch(given) else new()


@contextmanager
def bound(request_id: str | None = None) -> Iterator[str]:
    """Work inside under this id (a fresh one if not given): a socket's frame, a job."""
    chosen = request_id or new()
    token = current.set(chosen)
    try:
        yield chosen
    finally:
        current.reset(token)


def headers() -> dict[str, str]:
    """Headers for a request to another process, so that its lines and spans join ours."""
    found = {"x-request-id": current.get(), "traceparent": traceparent.get()}
    return {name: value for name, value in found.items() if value}


class RequestIdMiddleware:
    """ASGI: takes over the caller's `X-Request-ID` and `traceparent` where they are well-formed,
    else makes an id, and sends the id back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given: dict[bytes, str] = {
            name: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"x-request-id", b"traceparent")
        }
        request_id = accepted(given.get(b"x-request-id"))
        trace = given.get(b"traceparent", "")
        id_token = current.set(request_id)
        trace_token = traceparent.set(trace if _TRACEPARENT.fullmatch(trace) else None)

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                kept = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
                message["headers"] = [*kept, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            current.reset(id_token)
            traceparent.reset(trace_token)
