"""Keeps a set of replicas true: who is there, and who is well, by asking.

A replica that is fit is asked now and then; one that is not, every second, so that it is back soon
after it can be. One that was fit and no longer answers (a process that hangs, a network that is
cut) has its streams told after a few looks, so that they go on elsewhere. Called by the provider.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from troupe.gateway import metrics
from troupe.gateway.engines.members import Member
from troupe.gateway.engines.replicas import Replica, Replicas
from troupe.gateway.errors import GatewayError
from troupe.gateway.types import Provider
from troupe.telemetry import logs

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are looked at, in seconds."""

    members: float = 1.0
    fit: float = 5.0
    unfit: float = 1.0
    answer: float = 3.0  # a replica that takes longer has missed the look
    learn: float = 60.0  # the same, while it is not known what it serves: a tokenizer may be large
    misses: int = 3  # so many in a row, and its streams go elsewhere


class Watch:
    """Looks at the replicas again and again, from `start` to `close`."""

    def __init__(
        self,
        members: Callable[[], Awaitable[list[Member]]],
        replicas: Replicas,
        connect: Callable[[Member], Provider],
        pace: Pace | None = None,
    ) -> None:
        """`members` says who is there; `connect` makes the provider of one."""
        self._members = members
        self._unknown = ""  # why the members cannot be asked
        self._replicas = replicas
        self._connect = connect
        self._pace = pace or Pace()
        self._looked: dict[Replica, float] = {}
        self._looks: dict[Replica, asyncio.Task[None]] = {}
        self._leaving: set[Replica] = set()  # no members any more, with streams
        self._asked = float("-inf")
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless that is done. Needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End, and close all connections."""
        tasks = [task for task in (self._task, *self._looks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        for replica in [*self._replicas, *self._leaving]:
            await replica.engine.close()

    async def look(self) -> None:
        """Bring the members up to date and look at every replica that is due, and at those not fit
        in any case; returns when they have answered or missed."""
        await self._refresh()
        for replica in self._replicas:
            if replica.why_not or self._due(replica):
                self._begin_look(replica)
        if self._looks:
            await asyncio.wait(list(self._looks.values()))

    async def _run(self) -> None:
        tick = min(self._pace.members, self._pace.unfit)
        while True:
            await self._refresh()
            for replica in self._replicas:
                if self._due(replica):
                    self._begin_look(replica)
            await asyncio.sleep(tick)

    async def _refresh(self) -> None:
        """Take who is there from the registry; keep who was while it cannot be asked."""
        async with self._lock:
            if time.monotonic() - self._asked < self._pace.members / 2:
                return
            try:
                members = await self._members()
            except GatewayError as error:
                if not self._unknown:
                    log.warning("the registry of engines cannot be asked", error=str(error))
                self._unknown = str(error)
                return
            finally:
                self._asked = time.monotonic()
            self._unknown = ""
        await self._take(members)

    async def _take(self, members: list[Member]) -> None:
        named = {member.url: member for member in members}
        for replica in self._replicas:
            member = named.pop(replica.member.url, None)
            if member is None:
                self._replicas.remove(replica)
                self._leaving.add(replica)
                self._looked.pop(replica, None)
                log.info("an engine is gone", replica=replica.name)
            else:
                replica.member = member
        for member in named.values():
            self._replicas.add(Replica(member, self._connect(member)))
            log.info("an engine is there", replica=member.name, weight=member.weight)
        for replica in [each for each in self._leaving if not each.in_flight]:
            self._leaving.discard(replica)
            await replica.engine.close()

    def _due(self, replica: Replica) -> bool:
        every = self._pace.unfit if replica.why_not or replica.missed else self._pace.fit
        return time.monotonic() - self._looked.get(replica, float("-inf")) >= every

    def _begin_look(self, replica: Replica) -> None:
        if replica in self._looks:
            return
        task = asyncio.create_task(self._look_at(replica))
        self._looks[replica] = task
        task.add_done_callback(lambda _: self._looks.pop(replica, None))

    async def _look_at(self, replica: Replica) -> None:
        try:
            limit = self._pace.learn if replica.info is None else self._pace.answer
            async with asyncio.timeout(limit):
                found = await replica.engine.models()
            info, why_not = found[0], found[0].why_not
            replica.info = replace(info, ready=True, why_not="")
        except TimeoutError:
            why_not = "it does not answer"
        except GatewayError as error:
            why_not = str(error)
        self._looked[replica] = time.monotonic()
        if not why_not:
            if replica.why_not:
                log.info("an engine is fit for answers", replica=replica.name)
            replica.missed, replica.why_not = 0, ""
            if not replica.gone:
                metrics.REPLICA_READY.labels(replica.name).set(1)
            return
        replica.missed += 1
        # A stream that runs is a sign of life: only a replica that goes on missing loses those.
        if replica.why_not or replica.missed >= self._pace.misses or not replica.in_flight:
            if not replica.why_not:
                log.warning("an engine is not fit for answers", replica=replica.name, why=why_not)
            replica.down(why_not)
        if replica.missed >= self._pace.misses:
            now = asyncio.get_running_loop().time()
            for cut in list(replica.waiting):
                cut.reschedule(now)
