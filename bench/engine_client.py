"""A light client of token-id completion servers: one connection a request, read by hand.

The client shares the machine with the server it measures, so it does as little as it can: it keeps
the bytes of a streamed answer, notes when the first token came and when the answer ended, and looks
for token ids only then. Its own processor time is reported beside every figure. Called by
`engine_http.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from troupe.prompt.hashes import BLOCK, Stream, common_prefix

_ID = re.compile(rb"\d+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server is asked, and where its answers hold what."""

    path: str
    body: Callable[[int], Mapping[str, Any]]  # a number of tokens, to all fields but the prompt
    tokens: re.Pattern[bytes]  # its group holds the ids of one event
    cached: re.Pattern[bytes]  # its group holds the prompt tokens that were not run
    delta: bool = False  # whether it takes a prefix's hash for a history


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, in seconds of `time.perf_counter`."""

    tokens: tuple[int, ...]
    cached: int
    began: float
    first: float  # the first token
    ended: float
    sent: int  # bytes of the request, its headers included


class Refused(Exception):
    """The server answered with anything but a whole stream."""


class PrefixGone(Exception):
    """The server no longer holds the prefix that stood for a history."""

    def __init__(self, began: float, sent: int) -> None:
        super().__init__(began, sent)
        self.began, self.sent = began, sent


class _Exchange(asyncio.Protocol):
    """One request and its streamed answer."""

    def __init__(self, request: bytes, tokens: re.Pattern[bytes], done: asyncio.Future[None]):
        self._request, self._tokens, self._done = request, tokens, done
        self.got = bytearray()
        self.first = 0.0
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if not self.first and self._tokens.search(self.got):
            self.first = time.perf_counter()
        if data.endswith(b"0\r\n\r\n") and not self._done.done():
            self._done.set_result(None)
            assert self._transport is not None
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


class Memory:
    """What a server that takes delta prompts was given of one chat, and made for it."""

    def __init__(self) -> None:
        self._stream = Stream()

    def split(self, prompt: Sequence[int]) -> tuple[int, bytes]:
        """The longest prefix of `prompt` in full pages that the server was given, and its hash;
        from here on it has been given all of `prompt`."""
        length = common_prefix(self._stream.ids, prompt) // BLOCK * BLOCK
        self._stream = self._stream.cut(length)
        hashes = self._stream.hashes(length)
        self._stream.ids += prompt[length:]
        return length, hashes[-1] if hashes else b""

    def answered(self, tokens: Sequence[int]) -> None:
        """All of an answer but its last token has been run."""
        self._stream.ids += tokens[:-1]


async def ask(
    port: int, dialect: Dialect, prompt: Sequence[int], count: int, memory: Memory | None = None
) -> Answer:
    """Have `count` tokens made, the prompt sent as what is new where the server takes that.
    Raises `Refused` if fewer come."""
    fields = dialect.body(count)
    if memory is None or not dialect.delta:
        return await _send(port, dialect, {**fields, "prompt": list(prompt)}, count)
    length, digest = memory.split(prompt)
    try:
        answer = await _send(port, dialect, {**fields, **_delta(prompt, length, digest)}, count)
    except PrefixGone as gone:
        whole = await _send(port, dialect, {**fields, **_delta(prompt, 0, b"")}, count)
        answer = replace(whole, began=gone.began, sent=gone.sent + whole.sent)
    memory.answered(answer.tokens)
    return answer


def _delta(prompt: Sequence[int], length: int, digest: bytes) -> dict[str, Any]:
    new = b64encode(np.asarray(prompt[length:], "<u2").tobytes()).decode()
    fields: dict[str, Any] = {"prompt_b64": new, "token_bytes": 2}
    if length:
        fields["prefix"] = {"length": length, "hash": b64encode(digest).decode().rstrip("=")}
    return fields


async def _send(port: int, dialect: Dialect, fields: Mapping[str, Any], count: int) -> Answer:
    body = json.dumps(fields, separators=(",", ":"))
    request = (
        f"POST {dialect.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    exchange = _Exchange(request, dialect.tokens, done)
    began = time.perf_counter()
    transport, _ = await loop.create_connection(lambda: exchange, "127.0.0.1", port)
    try:
        await done
    finally:
        transport.close()
    ended = time.perf_counter()
    got = bytes(exchange.got)
    if b'"prefix_not_held"' in got:
        raise PrefixGone(began, len(request))
    tokens = tuple(int(token) for ids in dialect.tokens.findall(got) for token in _ID.findall(ids))
    cached = dialect.cached.search(got)
    if len(tokens) < count or cached is None:
        raise Refused(f"{len(tokens)} of {count} tokens came: {got[:300]!r} ... {got[-900:]!r}")
    return Answer(tokens[:count], int(cached[1]), began, exchange.first, ended, len(request))


def whole_bytes(prompt: Sequence[int]) -> int:
    """Bytes of a prompt as a list of ids, the history that a client without delta prompts sends."""
    return len(json.dumps({"prompt": list(prompt)}, separators=(",", ":")))
