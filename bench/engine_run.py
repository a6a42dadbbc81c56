"""Runs a load against a server: so many users at a time, each chat's visits one after another.

Called by `engine_http.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.engine_client import Answer, Memory, ask
from bench.engine_loads import Ids, Load, Visit
from bench.engine_servers import Server


@dataclass(frozen=True, slots=True)
class Done:
    """A visit and what came of it."""

    visit: Visit
    returning: bool  # the chat was visited before
    prompt: Ids
    answer: Answer

    @property
    def first_ms(self) -> float:
        return 1e3 * (self.answer.first - self.answer.began)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some visits run to the end, in order of their beginning."""

    done: Sequence[Done]
    seconds: float
    client_cpu: float  # seconds of this process
    server_cpu: float

    @property
    def tokens(self) -> int:
        return sum(len(one.answer.tokens) for one in self.done)


class Replay:
    """One server and the chats as it has made them so far."""

    def __init__(self, server: Server, load: Load) -> None:
        self.server = server
        self._chats = load.chats()
        self._memories = [Memory() for _ in self._chats]
        self._busy: dict[int, asyncio.Lock] = {}

    def run(self, visits: Sequence[Visit], users: int, stop_after: float | None = None) -> Slice:
        """Run `visits`, `users` at a time; after `stop_after` seconds no more are begun."""
        self._busy = {}
        return self._measured(self._closed(visits, users, stop_after))

    def run_paced(self, visits: Sequence[Visit], stop_after: float | None = None) -> Slice:
        """Run each user's visits in order, with that user's pauses before them."""
        self._busy = {}
        return self._measured(self._paced(visits, stop_after))

    def read_histories(self, users: int) -> None:
        """Have all that was said before the first visits run once, each with one token made."""
        visits = [
            Visit(number, "turn", (), 1) for number, chat in enumerate(self._chats) if chat.messages
        ]
        self.run(visits, users)

    def _measured(self, work: object) -> Slice:
        cpu, server = time.process_time(), self.server.cpu_seconds()
        began = time.perf_counter()
        done = asyncio.run(work)  # type: ignore[arg-type]
        seconds = time.perf_counter() - began
        done.sort(key=lambda one: one.answer.began)
        return Slice(done, seconds, time.process_time() - cpu, self.server.cpu_seconds() - server)

    async def _closed(
        self, visits: Sequence[Visit], users: int, stop_after: float | None
    ) -> list[Done]:
        left = iter(visits)
        until = time.perf_counter() + (stop_after or 1e9)
        done: list[Done] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(users):
                group.create_task(self._worker(left, until, done))
        return done

    async def _worker(self, left: Iterator[Visit], until: float, done: list[Done]) -> None:
        while time.perf_counter() < until and (visit := next(left, None)) is not None:
            done.append(await self._visit(visit))

    async def _paced(self, visits: Sequence[Visit], stop_after: float | None) -> list[Done]:
        of_user: dict[int, list[Visit]] = {}
        for visit in visits:
            of_user.setdefault(visit.user, []).append(visit)
        until = time.perf_counter() + (stop_after or 1e9)
        done: list[Done] = []

        async def user(own: Sequence[Visit]) -> None:
            for visit in own:
                await asyncio.sleep(visit.pause)
                if time.perf_counter() > until:
                    return
                done.append(await self._visit(visit))

        async with asyncio.TaskGroup() as group:
            for own in of_user.values():
                group.create_task(user(own))
        return done

    async def _visit(self, visit: Visit) -> Done:
        async with self._busy.setdefault(visit.chat, asyncio.Lock()):
            chat = self._chats[visit.chat]
            returning = chat.visits > 0
            prompt = chat.prompt(visit)
            memory = self._memories[visit.chat]
            answer = await ask(self.server.port, self.server.dialect, prompt, visit.answer, memory)
            chat.answered(answer.tokens)
            return Done(visit, returning, tuple(prompt), answer)
