"""A WebSocket client that costs little: the load of `bench.chat`. It reads server frames only as
far as it must to time them."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from array import array

_MASK = b"\0\0\0\0"  # masking by zeros: the payload as it is
_MARK = b'"text":"'


def text_frame(payload: bytes) -> bytes:
    """A client's text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + _MASK + payload
    return bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big") + _MASK + payload


class Client(asyncio.Protocol):
    """One socket. `delays` gets the age of each chunk in a delta, in seconds."""

    __slots__ = ("_buffer", "_open", "accepted", "delays", "done", "frames", "ready", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, delays: array[float]) -> None:
        self.delays = delays
        self.frames = 0
        self.ready: asyncio.Future[None] = loop.create_future()
        self.accepted: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop has classes of its own
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            "GET /chat/v1/socket HTTP/1.1",
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        transport.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())

    def say(self, payload: bytes) -> None:
        """Send a text frame."""
        assert self.transport is not None
        self.transport.write(text_frame(payload))

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        buffer = self._buffer + data if self._buffer else data
        at = 0
        if not self._open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            assert buffer.startswith(b"HTTP/1.1 101"), buffer[:200]
            self._open = True
            at = end + 4
            self.ready.set_result(None)
        total = len(buffer)
        while total - at >= 2:
            size, head = buffer[at + 1], 2
            if size == 126:
                if total - at < 4:
                    break
                size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            elif size == 127:
                if total - at < 10:
                    break
                size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            if total - at - head < size:
                break
            self._frame(buffer[at], buffer[at + head : at + head + size], now)
            at += head + size
        self._buffer = buffer[at:]

    def _frame(self, first: int, payload: bytes, now: float) -> None:
        if first != 0x81:
            if first == 0x89:  # a ping
                assert self.transport is not None
                self.transport.write(bytes((0x8A, 0x80 | len(payload))) + _MASK + payload)
            return
        kind = payload[9:11]
        if kind == b"de":  # delta
            self.frames += 1
            text = payload[payload.index(_MARK) + 8 : -3]
            self.delays.extend([now - float(made) for made in text.split(b" ")])
        elif kind == b"ac":
            self.accepted.set_result(None)
        elif kind == b"do":
            self.done.set_result(None)
        elif kind == b"er":
            raise RuntimeError(payload.decode())
