"""The WebSocket endpoint: protocol version 1 over raw ASGI, so that an idle socket stays small.

Reads one frame at a time, calls the service, and leaves all writing to the outbox. Called by the
server through the route in `app.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from starlette.types import Receive, Scope, Send

from troupe.telemetry import logs, request_id, traces

from . import frames
from .auth import Viewer, viewer_of
from .errors import BadFrame, ChatError, NotFound, Overloaded, TooMany, Unauthorized
from .limits import Bucket
from .mapping import chat_error
from .metrics import REFUSED, SOCKETS
from .outbox import Outbox, Overflow
from .store.types import MessageKey
from .turns import ANYONE, Begun, Turns

log = logs.get(__name__)

HELLO_WITHIN_S = 10.0
BAD_FRAMES = 3
BURST = 2 * frames.FRAMES_PER_SECOND

Handler = Callable[["Connection", Any], Coroutine[None, None, None]]


class Disconnected(Exception):
    """The client went away."""


class Closing(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Sockets:
    """All sockets of this process, as an ASGI application for their route."""

    def __init__(self, turns: Turns, secret: str, max_sockets: int, interval: float) -> None:
        self.turns = turns
        self.secret = secret
        self.max_sockets = max_sockets
        self.interval = interval
        self.held = 0
        self.limits = frames.Limits(
            message_chars=turns.max_message_chars,
            frame_bytes=frames.MAX_FRAME_BYTES,
            frames_per_second=frames.FRAMES_PER_SECOND,
        )

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it ends."""
        await receive()  # websocket.connect
        if self.held >= self.max_sockets:
            await _refuse(send)
            return
        self.held += 1
        SOCKETS.set(self.held)
        try:
            await send({"type": "websocket.accept"})
            await Connection(self, receive, send).run()
        finally:
            self.held -= 1
            SOCKETS.set(self.held)


class Connection:
    """One socket."""

    __slots__ = ("_bad", "_bucket", "_receive", "_send", "outbox", "sockets", "viewer")

    def __init__(self, sockets: Sockets, receive: Receive, send: Send) -> None:
        self.sockets = sockets
        self._receive = receive
        self._send = send
        self.viewer: Viewer | None = None
        self.outbox = Outbox(self._write, asyncio.get_running_loop(), sockets.interval)
        self._bucket = Bucket(frames.FRAMES_PER_SECOND, BURST, time.monotonic())
        self._bad = 0

    async def run(self) -> None:
        """Take frames until the client leaves or has to."""
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                await self._take()
            while True:
                await self._take()
        except (Disconnected, OSError):
            pass
        except TimeoutError:
            await self._close(Closing(frames.CLOSE_UNAUTHORIZED, "no hello"))
        except Closing as closing:
            await self._close(closing)
        except Overflow:
            await self._close(Closing(frames.CLOSE_TOO_MANY, "frames are not being read"))
        finally:
            self.outbox.close()

    async def _take(self) -> None:
        """Take one frame. The first must be a good `hello`."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected
        frame_id: str | None = None
        try:
            raw = message.get("text")
            if raw is None:
                raise BadFrame("Frames are JSON text; binary ones are not taken.")
            frame = frames.parse(raw)
            frame_id = getattr(frame, "id", None)
            if not self._bucket.take(time.monotonic()):
                raise TooMany(retry_after=1.0)
            if self.viewer is None and not isinstance(frame, frames.Hello):
                raise Unauthorized("Say hello first, with a chat token.")
            with request_id.bound(), traces.span("chat.frame", type=frame.type):
                await HANDLERS[type(frame)](self, frame)
        except ChatError as error:
            self._refused(error, frame_id)
        except Exception as error:
            self._refused(chat_error(error), frame_id)

    def _refused(self, error: ChatError, frame_id: str | None) -> None:
        REFUSED.labels(error.code).inc()
        self.outbox.put(frames.error_frame(error, frame_id))
        if self.viewer is None:
            code = frames.CLOSE_BAD_FRAMES if isinstance(error, BadFrame) else None
            raise Closing(code or frames.CLOSE_UNAUTHORIZED, error.code)
        if isinstance(error, BadFrame | TooMany):
            self._bad += 1
            if self._bad >= BAD_FRAMES:
                bad = isinstance(error, BadFrame)
                code = frames.CLOSE_BAD_FRAMES if bad else frames.CLOSE_TOO_MANY
                raise Closing(code, error.code)

    async def hello(self, frame: frames.Hello) -> None:
        """Learn who is there."""
        viewer = viewer_of(self.sockets.secret, frame.token)
        if self.viewer is not None and viewer.user_id != self.viewer.user_id:
            raise Unauthorized("This token is somebody else's. Open another socket for them.")
        self.viewer = viewer
        user = frames.User(id=str(viewer.user_id), name=viewer.name, guest=viewer.guest)
        self.outbox.put(frames.dump(frames.Ready(user=user, limits=self.sockets.limits)))

    async def send(self, frame: frames.Send) -> None:
        """Keep a message and follow the answer."""
        begun = await self.sockets.turns.send(
            self._fresh(),
            _chat_id(frame.chat),
            frame.branch,
            frame.client_id,
            frame.text,
            frame.speak if "speak" in frame.model_fields_set else ANYONE,
        )
        self._follow(frame.id, begun)

    async def regenerate(self, frame: frames.Regenerate) -> None:
        """Write another candidate and follow it."""
        key = MessageKey.parse(frame.message)
        self._follow(
            frame.id, await self.sockets.turns.regenerate(self._fresh(), key, frame.branch)
        )

    async def write_on(self, frame: frames.Continue) -> None:
        """Write on at the end of the last answer and follow it."""
        key = MessageKey.parse(frame.message)
        self._follow(frame.id, await self.sockets.turns.write_on(self._fresh(), key, frame.branch))

    async def cancel(self, frame: frames.Cancel) -> None:
        """Stop a generation; its `done` tells the followers."""
        await self.sockets.turns.cancel(self._known(), MessageKey.parse(frame.message))

    async def resume(self, frame: frames.Resume) -> None:
        """Follow a generation from where the client lost it."""
        key = MessageKey.parse(frame.message)
        generation = await self.sockets.turns.find(self._known(), key)
        if generation is None:
            self.outbox.put(frames.dump(frames.Gone(message=frame.message, id=frame.id)))
        else:
            self.outbox.attach(generation, generation.position(frame.epoch, frame.seq))

    async def ping(self, _frame: frames.Ping) -> None:
        """Say that we are here."""
        self.outbox.put(frames.dump(frames.Pong()))

    def _follow(self, frame_id: str, begun: Begun) -> None:
        accepted = frames.Accepted(
            id=frame_id,
            chat=str(begun.chat_id),
            branch=begun.branch,
            messages=begun.messages,
        )
        self.outbox.put(frames.dump(accepted))
        if begun.generation is not None:
            self.outbox.attach(begun.generation, begun.generation.prefix)

    def _known(self) -> Viewer:
        if self.viewer is None:
            raise Unauthorized
        return self.viewer

    def _fresh(self) -> Viewer:
        """Who is there, if the token still holds: nothing new starts without."""
        viewer = self._known()
        viewer.check()
        return viewer

    async def _write(self, frame: str) -> None:
        await self._send({"type": "websocket.send", "text": frame})

    async def _close(self, closing: Closing) -> None:
        """Send what waits, then the close frame; a reader that takes neither is dropped."""
        try:
            async with asyncio.timeout(1.0):
                await self.outbox.flushed()
                self.outbox.close()
                await self._send(
                    {"type": "websocket.close", "code": closing.code, "reason": closing.reason}
                )
        except (TimeoutError, OSError):
            log.info("socket dropped", code=closing.code)


HANDLERS: dict[type, Handler] = {
    frames.Hello: Connection.hello,
    frames.Send: Connection.send,
    frames.Regenerate: Connection.regenerate,
    frames.Continue: Connection.write_on,
    frames.Cancel: Connection.cancel,
    frames.Resume: Connection.resume,
    frames.Ping: Connection.ping,
}


def _chat_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


async def _refuse(send: Send) -> None:
    """Refuse a socket before it is accepted, with a body that says why."""
    REFUSED.labels(Overloaded.code).inc()
    error = Overloaded("This server holds as many sockets as it may. Try again shortly.")
    body = frames.error_frame(error).encode()
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"5")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
