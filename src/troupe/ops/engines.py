"""Replicas of the engine as an operator sees them: announced, listed, drained.

Called by `troupe serve engine` and `troupe engines`.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn, TypeVar

from troupe.gateway.configured import registry
from troupe.gateway.engines.announcer import announced
from troupe.gateway.engines.members import Member, parse
from troupe.gateway.engines.registry import LocalRegistry, Registry, everyone
from troupe.gateway.errors import GatewayError
from troupe.gateway.providers.http import Http
from troupe.ops.errors import OpsError
from troupe.settings import Settings

_LIMIT_S = 3.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """A replica and how it is."""

    member: Member
    why_not: str  # empty when it is ready

    @property
    def said(self) -> str:
        how = self.why_not or "ready"
        return f"{how}, draining" if self.member.draining else how


@contextmanager
def announcing(settings: Settings) -> Iterator[None]:
    """The engine of this process is in the registry within the block, if the settings say under
    which address. Raises `OpsError` for an address that is none, or without a registry."""
    if settings.engine_announce is None:
        yield
        return
    if settings.redis_url is None:
        raise OpsError(
            "TROUPE_ENGINE_ANNOUNCE is set, and there is nowhere to announce the engine",
            "Set TROUPE_REDIS_URL too",
        )
    try:
        (member,) = parse([settings.engine_announce])
    except GatewayError as error:
        raise OpsError(str(error), "Set TROUPE_ENGINE_ANNOUNCE to http://HOST:PORT") from error
    ready, over = threading.Event(), threading.Event()

    async def keep() -> None:
        shared = registry(settings)
        assert shared is not None
        try:
            async with announced(shared, member):
                ready.set()
                await asyncio.to_thread(over.wait)
        finally:
            await shared.close()

    # The engine's server has the main thread, which signals go to.
    thread = threading.Thread(target=asyncio.run, args=(keep(),), name="announcer", daemon=True)
    thread.start()
    # When it has stopped, the server passes the signal on: it must not end us before we withdraw.
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        ready.wait(_LIMIT_S)
        over.set()
        thread.join(2 * _LIMIT_S)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def seen(settings: Settings) -> list[Seen]:
    """Every replica that the web processes know, by address. Raises `OpsError`."""
    return _run(settings, _look)


def drain(settings: Settings, url: str, draining: bool) -> None:
    """Have the replica get no new answers, or get them again. Raises `OpsError` if there is no such
    replica, or no registry to tell."""
    if settings.redis_url is None:
        raise OpsError(
            "an engine is drained through Redis, which all web processes read",
            "Set TROUPE_REDIS_URL, here and for the web processes; or take it out of "
            "TROUPE_ENGINE_URL and start them again",
        )

    async def tell(shared: Registry, static: list[Member]) -> None:
        known = [member.url for member in await everyone(shared, static)]
        if draining and url.rstrip("/") not in known:
            raise OpsError(f"there is no engine {url}", f"There is: {', '.join(known) or 'none'}")
        await shared.drain(url.rstrip("/"), draining)

    _run(settings, tell)


async def _look(shared: Registry, static: list[Member]) -> list[Seen]:
    members = await everyone(shared, static)
    return [
        Seen(member, why)
        for member, why in zip(
            members, await asyncio.gather(*(_why_not(member) for member in members)), strict=True
        )
    ]


async def _why_not(member: Member) -> str:
    http = Http(member.name, member.url, connect_s=_LIMIT_S)
    try:
        async with asyncio.timeout(_LIMIT_S):
            await http.get("readyz")
    except GatewayError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_LIMIT_S:g} s"
    finally:
        await http.close()
    return ""


def _run(settings: Settings, work: Callable[[Registry, list[Member]], Awaitable[T]]) -> T:
    async def run() -> T:
        shared = registry(settings) or LocalRegistry()
        try:
            return await work(shared, parse(settings.engine_addresses))
        finally:
            await shared.close()

    try:
        return asyncio.run(run())
    except GatewayError as error:
        remedy = "Look at TROUPE_ENGINE_URL and TROUPE_REDIS_URL"
        raise OpsError(str(error), remedy) from error
