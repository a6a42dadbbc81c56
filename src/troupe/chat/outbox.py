"""What one reader (a socket or an SSE response) still has to be sent.

Control frames wait in a short queue. A stream waits as a position in its generation's text: when
its turn comes, everything after that position goes out as one frame, at most every `interval`
seconds and the first at once. So memory is bounded however slow the reader is. The task that
writes lives only while there is something to write or to follow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from .frames import Done, Start, delta_frame, dump
from .generation import Generation
from .metrics import FRAMES
from .store.types import State

INTERVAL_S = 0.125  # eight frames a second for each stream
CAPACITY = 256  # control frames that may wait


class Overflow(Exception):
    """The reader takes no frames and keeps asking for more."""


class Stream:
    """A reader's place in one generation."""

    __slots__ = ("generation", "next_at", "outbox", "queued", "sent", "started", "timer")

    def __init__(self, generation: Generation, outbox: Outbox, position: int) -> None:
        self.generation = generation
        self.outbox = outbox
        self.sent = position
        self.started = False
        self.next_at = 0.0
        self.queued = False
        self.timer: asyncio.TimerHandle | None = None

    def changed(self, now: bool) -> None:
        """Queue this stream, at once or when its interval is over."""
        if self.queued:
            if now and self.timer is not None:
                self.timer.cancel()
                self._due()
            return
        self.queued = True
        loop = self.outbox.loop
        delay = 0.0 if now else self.next_at - loop.time()
        if delay <= 0:
            self.outbox.due(self)
        else:
            self.timer = loop.call_later(delay, self._due)

    def _due(self) -> None:
        self.timer = None
        self.outbox.due(self)

    def frames(self) -> Iterator[str]:
        """What to send now: the beginning once, the text since the last time, and the end, which
        detaches the stream. Evaluated frame by frame, so that a slow send makes larger deltas."""
        generation = self.generation
        if self.outbox.streams.get(generation.id) is not self:
            return
        if not self.started:
            self.started = True
            yield dump(
                Start(
                    message=generation.id,
                    epoch=generation.epoch,
                    model=generation.model,
                    text=generation.text[: self.sent],
                )
            )
        if self.sent < len(generation.text):
            yield self._delta()
        if generation.state is State.STREAMING:
            return
        if self.sent < len(generation.text):
            yield self._delta()
        self.outbox.detach(generation.id)
        yield dump(
            Done(
                message=generation.id,
                epoch=generation.epoch,
                state=generation.state.value,
                body=generation.text,
                meta=generation.meta,
            )
        )

    def _delta(self) -> str:
        generation, begin = self.generation, self.sent
        self.sent = len(generation.text)
        self.next_at = self.outbox.loop.time() + self.outbox.interval
        return delta_frame(generation.id, generation.epoch, self.sent, generation.text[begin:])


class Outbox:
    """Frames to one reader, in order. `send` may wait for as long as the reader is slow; when it
    raises, the reader is gone and the outbox closes."""

    __slots__ = (
        "_due",
        "_flushed",
        "_frames",
        "_send",
        "_task",
        "_waiter",
        "closed",
        "interval",
        "loop",
        "streams",
    )

    def __init__(
        self,
        send: Callable[[str], Awaitable[None]],
        loop: asyncio.AbstractEventLoop,
        interval: float = INTERVAL_S,
    ) -> None:
        self._send = send
        self.loop = loop
        self.interval = interval
        self.closed = False
        self.streams: dict[str, Stream] = {}
        self._frames: deque[str] = deque()
        self._due: list[Stream] = []
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._flushed: asyncio.Future[None] | None = None

    def put(self, frame: str) -> None:
        """Queue a control frame. Raises `Overflow` when too many wait."""
        if self.closed:
            return
        if len(self._frames) >= CAPACITY:
            raise Overflow
        self._frames.append(frame)
        self._wake()

    def attach(self, generation: Generation, position: int) -> None:
        """Follow a generation from a position in its text; one that was followed starts anew."""
        if self.closed:
            return
        self.detach(generation.id)
        stream = Stream(generation, self, position)
        self.streams[generation.id] = stream
        generation.followers.append(stream)
        stream.changed(True)

    def detach(self, message: str) -> None:
        """Follow a generation no longer."""
        stream = self.streams.pop(message, None)
        if stream is not None:
            stream.generation.followers.remove(stream)
            if stream.timer is not None:
                stream.timer.cancel()

    def due(self, stream: Stream) -> None:
        """A stream has something to send now."""
        self._due.append(stream)
        self._wake()

    async def drained(self) -> None:
        """Wait until nothing is left to send or to follow, or the reader is gone."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def flushed(self) -> None:
        """Wait until the control frames are sent, or the reader is gone."""
        self._flushed = self.loop.create_future() if self._frames else None
        if self._flushed is not None:
            await self._flushed

    def close(self) -> None:
        """Follow nothing and send nothing any more. Generations go on."""
        self.closed = True
        for message in tuple(self.streams):
            self.detach(message)
        if self._task is not None:
            self._task.cancel()

    def _wake(self) -> None:
        if self._task is None:
            if not self.closed:
                self._task = self.loop.create_task(self._run())
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _run(self) -> None:
        try:
            while True:
                await self._flush()
                if self._frames or self._due:
                    continue
                if not self.streams:
                    break
                self._waiter = self.loop.create_future()
                await self._waiter
                self._waiter = None
        except (OSError, RuntimeError):
            # The reader is gone, which is its right. Servers say so by either.
            self.closed = True
        finally:
            self._task = None
            if self._flushed is not None and not self._flushed.done():
                self._flushed.set_result(None)
            if self.closed:
                for message in tuple(self.streams):
                    self.detach(message)

    async def _flush(self) -> None:
        sent = 0
        while self._frames:
            await self._send(self._frames.popleft())
            sent += 1
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_result(None)
        due, self._due = self._due, []
        for stream in due:
            stream.queued = False
            for frame in stream.frames():
                await self._send(frame)
                sent += 1
        FRAMES.inc(sent)
