"""Who the engine's replicas are, as known to all web processes: a small protocol, and the dict that
serves one process. `redis.py` serves many. One suite of tests holds both to the same contract.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from troupe.gateway.engines.members import MAX_MEMBERS, Member
from troupe.gateway.errors import ProviderUnavailable


class Registry(Protocol):
    """Replicas that are there. All raise `ProviderUnavailable` if the registry cannot be asked."""

    async def announce(self, member: Member, lease_s: float | None) -> None:
        """The replica is there for `lease_s` seconds more (None: for good), with that weight.
        Raises also if there are `MAX_MEMBERS` already."""
        ...

    async def withdraw(self, url: str) -> None:
        """The replica is gone; one that is not there is no error."""
        ...

    async def members(self) -> list[Member]:
        """Who is there now, by address."""
        ...

    async def drain(self, url: str, draining: bool) -> None:
        """The replica shall get no new answers, or get them again. That is kept until it is
        taken back, whether it is there or not, announces itself again or starts again."""
        ...

    async def drained(self) -> frozenset[str]:
        """The addresses of those that shall get no new answers."""
        ...

    async def close(self) -> None: ...


class LocalRegistry:
    """The registry of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._known: dict[str, tuple[Member, float]] = {}  # and until when it is there
        self._drained: set[str] = set()

    async def announce(self, member: Member, lease_s: float | None) -> None:
        self._expire()
        if member.url not in self._known and len(self._known) >= MAX_MEMBERS:
            raise full()
        until = float("inf") if lease_s is None else self._clock() + lease_s
        self._known[member.url] = (member, until)

    async def withdraw(self, url: str) -> None:
        self._known.pop(url, None)

    async def members(self) -> list[Member]:
        self._expire()
        return [self._known[url][0] for url in sorted(self._known)]

    async def drain(self, url: str, draining: bool) -> None:
        if not draining:
            self._drained.discard(url)
        elif len(self._drained | {url}) > MAX_MEMBERS:
            raise full()
        else:
            self._drained.add(url)

    async def drained(self) -> frozenset[str]:
        return frozenset(self._drained)

    async def close(self) -> None:
        """Nothing is open."""

    def _expire(self) -> None:
        now = self._clock()
        self._known = {url: each for url, each in self._known.items() if each[1] > now}


async def everyone(registry: Registry, static: Sequence[Member]) -> list[Member]:
    """Those of `registry`, and those that are there for good, who shall get no new answers marked
    as such. Raises `ProviderUnavailable`."""
    found = {member.url: member for member in [*static, *await registry.members()]}
    drained = await registry.drained()
    return [replace(found[url], draining=url in drained) for url in sorted(found)]


def full() -> ProviderUnavailable:
    """The error of a registry that has no room."""
    return ProviderUnavailable(f"there are {MAX_MEMBERS} engines already")
