"""Group commit: many callers' writes in one statement. Knows no SQL.

A write goes out at once when none is in flight, else with the others when that one returns, or
when enough wait to fill a statement. A chat is in at most one flight at a time, over all lanes,
so what a chat does stays in order and two statements never wait for each other's rows.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

import psycopg

from .errors import StoreError, StoreUnavailable

MAX_JOBS = 256  # in a statement
MAX_BYTES = 4 * 2**20  # in a statement, roughly
MAX_FLIGHTS = 2  # of a lane
MAX_WAITING = 50_000  # jobs


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One caller's write."""

    chat_id: UUID
    size: int  # bytes, roughly
    waiters: list[asyncio.Future[Any]] = field(default_factory=list)

    def replaces(self, older: Self) -> bool:  # noqa: ARG002 (for those that can)
        """Whether `older`, which waits, need not be written when this one is."""
        return False

    def resolve(self, result: Any) -> None:
        """It is durable."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(result)

    def fail(self, error: Exception) -> None:
        """It was refused, or failed."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)


J = TypeVar("J", bound=Job)


class Turnstile:
    """The chats in flight, and the lanes to tell when some have landed."""

    def __init__(self) -> None:
        self.flying: set[UUID] = set()
        self.lanes: list[Lane[Any]] = []

    def land(self, chats: Iterable[UUID]) -> None:
        """These chats may fly again."""
        self.flying.difference_update(chats)
        for lane in self.lanes:
            lane.call()

    async def drain(self) -> None:
        """Wait until all that was submitted is written or has failed."""
        while any(lane.occupied for lane in self.lanes):
            flights = [flight for lane in self.lanes for flight in lane.flights]
            if flights:
                await asyncio.wait(flights)
            else:
                await asyncio.sleep(0)


class Lane(Generic[J]):
    """Writes of one kind. `write` resolves or fails each job of a batch; what it raises fails
    all of them, after each was tried alone if the database found fault with the batch."""

    def __init__(self, turnstile: Turnstile, write: Callable[[list[J]], Awaitable[None]]) -> None:
        self.flights: set[asyncio.Task[None]] = set()
        self._write = write
        self._turnstile = turnstile
        self._waiting: OrderedDict[UUID, deque[J]] = OrderedDict()
        self._jobs = 0
        self._in_flight = 0
        self._called = False
        turnstile.lanes.append(self)

    @property
    def occupied(self) -> bool:
        """Whether anything waits or flies."""
        return bool(self._waiting or self.flights)

    async def submit(self, job: J) -> Any:
        """Write a job. A caller that is cancelled meanwhile takes nothing back."""
        if self._jobs >= MAX_WAITING:
            raise StoreUnavailable(f"{self._jobs} writes wait for the database; try again shortly")
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiter.add_done_callback(_heard)
        job.waiters.append(waiter)
        queue = self._waiting.setdefault(job.chat_id, deque())
        if queue and job.replaces(queue[-1]):
            job.waiters.extend(queue.pop().waiters)
            self._jobs -= 1
        queue.append(job)
        self._jobs += 1
        self.call()
        return await waiter

    def call(self) -> None:
        """Send what can be sent, once all that is about to be submitted now has been."""
        if self._waiting and not self._called and self._may_fly():
            self._called = True
            flight = asyncio.create_task(self._fly())
            self.flights.add(flight)
            flight.add_done_callback(self.flights.discard)

    def _may_fly(self) -> bool:
        full = len(self._waiting) >= MAX_JOBS
        return self._in_flight == 0 or (full and self._in_flight < MAX_FLIGHTS)

    def _take(self) -> list[J]:
        """The oldest job of each chat that is not in flight, until the statement is full."""
        batch: list[J] = []
        size = 0
        for chat_id in list(self._waiting):
            if chat_id in self._turnstile.flying:
                continue
            queue = self._waiting[chat_id]
            if batch and (len(batch) == MAX_JOBS or size + queue[0].size > MAX_BYTES):
                break
            job = queue.popleft()
            batch.append(job)
            size += job.size
            if queue:
                self._waiting.move_to_end(chat_id)
            else:
                del self._waiting[chat_id]
        self._jobs -= len(batch)
        self._turnstile.flying.update(job.chat_id for job in batch)
        return batch

    async def _fly(self) -> None:
        self._called = False
        batch = self._take()
        if not batch:
            return
        self._in_flight += 1
        self.call()
        try:
            await self._attempt(batch)
        finally:
            for job in batch:
                job.fail(
                    StoreUnavailable("the write was cut short; whether it happened is unknown")
                )
            self._in_flight -= 1
            self._turnstile.land(job.chat_id for job in batch)

    async def _attempt(self, batch: list[J]) -> None:
        try:
            await self._write(batch)
        except psycopg.Error as error:
            if len(batch) == 1:
                batch[0].fail(StoreError(f"the database refused a write: {error}"))
                return
            for job in batch:
                await self._attempt([job])
        except Exception as error:
            for job in batch:
                job.fail(error)


def _heard(waiter: asyncio.Future[Any]) -> None:
    """A caller that was cancelled does not ask how its write ended; that is no mistake."""
    if not waiter.cancelled():
        waiter.exception()
