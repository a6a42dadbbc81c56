"""From the worker's thread to those who read answers: an event loop is woken once for many tokens.

A step draws a token for each of its sequences; waking the loop for each would cost more than the
tokens do. And a reader that is behind can have all that waits for it as one chunk, so that a busy
server writes fewer events rather than later ones. Knows nothing of models or HTTP. Called by
`engine.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import replace

from troupe.engine.types import Chunk

Item = Chunk | Exception


class Inbox:
    """What one reader has not read yet. Used in its event loop's thread only.

    Bounded by the answer's length, so a slow reader costs no more than its own answer.
    """

    def __init__(self, joins: bool) -> None:
        """`joins`: whether chunks of one candidate that wait are read as one."""
        self._joins = joins
        self._items: deque[Item] = deque()
        self._reader: asyncio.Future[None] | None = None

    def put(self, item: Item) -> None:
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def take(self) -> Item:
        """The next item. One reader at a time."""
        if not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        first = self._items.popleft()
        if not (self._joins and self._items) or isinstance(first, Exception):
            return first
        chunks = [first]
        while self._items and chunks[-1].finish_reason is None:
            following = self._items[0]
            if isinstance(following, Exception) or following.index != first.index:
                break
            chunks.append(following)
            self._items.popleft()
        return joined(chunks) if len(chunks) > 1 else first


class Outbox:
    """Hands items to the inboxes of one event loop, from any thread: put, then wake."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[tuple[Inbox, Item]] = deque()
        self._woken = False

    def put(self, inbox: Inbox, item: Item) -> bool:
        """Whether the loop still runs, so that somebody may read it once it is woken."""
        if self._loop.is_closed():
            return False
        self._items.append((inbox, item))
        return True

    def wake(self) -> None:
        """Have the loop hand out what was put."""
        if self._items and not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # it was closed just now
                self._loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        # Before the first item is taken: what comes from now on wakes the loop again.
        self._woken = False
        while self._items:
            inbox, item = self._items.popleft()
            inbox.put(item)


def joined(chunks: list[Chunk]) -> Chunk:
    """Chunks of one candidate, in order, as one; only the last may end it."""
    return replace(
        chunks[-1],
        token_ids=tuple(token for chunk in chunks for token in chunk.token_ids),
        text="".join(chunk.text for chunk in chunks),
        logprobs=tuple(told for chunk in chunks for told in chunk.logprobs),
    )
