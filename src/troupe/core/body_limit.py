"""Bounds the bodies of requests before Django collects them, which it would do without end."""

from __future__ import annotations

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import limits


class _TooLong(Exception):
    """More came than was allowed."""


class BodyLimit:
    """ASGI: refuses a body over `upload` bytes for a form with files, over 4 MB for any other."""

    def __init__(self, app: ASGIApp, upload: int) -> None:
        self._app = app
        self._upload = upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        files = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        most = self._upload + limits.MB if files else limits.JSON_BODY
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > most:
            await _refuse(send, most)
            return
        came = 0
        started = False

        async def bounded() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > most:
                raise _TooLong
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, bounded, noted)
        except _TooLong:
            if started:
                raise
            await _refuse(send, most)


async def _refuse(send: Send, most: int) -> None:
    message = f"The request is larger than the {most // limits.MB} MB that are allowed."
    body = orjson.dumps({"error": {"code": "too_large", "message": message, "fields": {}}})
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
