"""Server-sent events: a response that an outbox writes to. A reader who leaves stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from .outbox import Outbox

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """An ASGI response. `fill` gives the outbox what it begins with; the response ends when the
    outbox has nothing more to send or to follow."""

    def __init__(self, fill: Callable[[Outbox], None], interval: float) -> None:
        self._fill = fill
        self._interval = interval

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the reader leaves."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})

        async def write(frame: str) -> None:
            name = frame[9 : frame.index('"', 9)]  # frames begin {"type":"NAME"
            body = f"event: {name}\ndata: {frame}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})

        outbox = Outbox(write, asyncio.get_running_loop(), self._interval)
        self._fill(outbox)
        end = asyncio.ensure_future(outbox.drained())
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            await asyncio.wait([end, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            end.cancel()
            outbox.close()
        if not gone.done() or gone.cancelled():
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def until_gone(receive: Receive) -> None:
    """Wait until the reader leaves. The body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
