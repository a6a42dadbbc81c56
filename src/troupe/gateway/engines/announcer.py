"""An engine says in the registry that it is there, as long as it is. Called by `troupe serve
engine`, beside the engine itself, which knows nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from troupe.gateway.engines.members import Member
from troupe.gateway.engines.registry import Registry
from troupe.gateway.errors import GatewayError
from troupe.telemetry import logs

log = logs.get(__name__)

LEASE_S = 15.0  # a machine that is cut off is forgotten after so long


@asynccontextmanager
async def announced(
    registry: Registry, member: Member, lease_s: float = LEASE_S
) -> AsyncIterator[None]:
    """The member is in the registry within the block, and not after it. A registry that cannot be
    reached is tried again, and stops nobody."""
    keeping = asyncio.create_task(_keep(registry, member, lease_s))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        try:
            await registry.withdraw(member.url)
        except GatewayError as error:
            log.warning("the engine stays announced until its lease ends", error=str(error))


async def _keep(registry: Registry, member: Member, lease_s: float) -> None:
    well = False
    while True:
        try:
            await registry.announce(member, lease_s)
        except GatewayError as error:
            well = False
            log.warning("the engine cannot be announced", url=member.url, error=str(error))
        else:
            if not well:
                log.info("the engine is announced", url=member.url, weight=member.weight)
            well = True
        await asyncio.sleep(lease_s / 3)
