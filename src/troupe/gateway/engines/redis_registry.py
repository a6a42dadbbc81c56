"""The registry of engines in Redis or Valkey, for more than one web process or machine.

Two keys: a hash of address to deadline and weight, and a set of addresses that drain. Scripts run
in the server, so that time is its own and nothing is seen half done.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from troupe.gateway.engines.members import MAX_MEMBERS, Member
from troupe.gateway.engines.registry import full
from troupe.gateway.errors import ProviderUnavailable

LIMIT_S = 2.0  # for Redis to answer

# A value is "DEADLINE WEIGHT", the deadline in milliseconds of Unix time, or -1 for good.
_LIVING = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local living = {}
for at = 1, #all, 2 do
  local ends = tonumber(string.match(all[at + 1], '^%S+') or '0') or 0
  if ends >= 0 and ends <= now then
    redis.call('HDEL', KEYS[1], all[at])
  else
    living[#living + 1] = all[at]
    living[#living + 1] = all[at + 1]
  end
end
"""
_MEMBERS = _LIVING + "return living"
_ANNOUNCE = (
    _LIVING
    + """
local known = redis.call('HEXISTS', KEYS[1], ARGV[1])
if known == 0 and #living / 2 >= tonumber(ARGV[4]) then return 0 end
local ends = tonumber(ARGV[3])
if ends >= 0 then ends = now + ends end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', ends) .. ' ' .. ARGV[2])
return 1
"""
)
_DRAIN = """
local known = redis.call('SISMEMBER', KEYS[1], ARGV[1])
if known == 0 and redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('SADD', KEYS[1], ARGV[1])
return 1
"""


class RedisRegistry:
    """The registry of all processes that name the same Redis."""

    def __init__(self, url: str, prefix: str = "troupe") -> None:
        """`url` as in `redis://:password@host:6379/0`; `prefix` begins every key. Raises
        `ProviderUnavailable` if the address is none."""
        try:
            self._redis: Any = Redis.from_url(
                url,
                socket_timeout=LIMIT_S,
                socket_connect_timeout=LIMIT_S,
                decode_responses=True,
            )
        except ValueError as error:  # its text would show the password
            raise ProviderUnavailable("TROUPE_REDIS_URL is no address of a Redis") from error
        self._members = f"{prefix}:engines"
        self._drained = f"{prefix}:engines:drained"

    async def announce(self, member: Member, lease_s: float | None) -> None:
        lease = "-1" if lease_s is None else str(math.ceil(lease_s * 1e3))
        given = (member.url, repr(member.weight), lease, MAX_MEMBERS)
        if not await _told(self._redis.eval(_ANNOUNCE, 1, self._members, *given)):
            raise full()

    async def withdraw(self, url: str) -> None:
        await _told(self._redis.hdel(self._members, url))

    async def members(self) -> list[Member]:
        flat = cast("list[str]", await _told(self._redis.eval(_MEMBERS, 1, self._members)))
        found = zip(flat[::2], flat[1::2], strict=True)
        members = (_member(url, value) for url, value in sorted(found))
        return [member for member in members if member is not None]

    async def drain(self, url: str, draining: bool) -> None:
        if not draining:
            await _told(self._redis.srem(self._drained, url))
        elif not await _told(self._redis.eval(_DRAIN, 1, self._drained, url, MAX_MEMBERS)):
            raise full()

    async def drained(self) -> frozenset[str]:
        return frozenset(await _told(self._redis.smembers(self._drained)))

    async def close(self) -> None:
        await self._redis.aclose()


async def _told(asked: Awaitable[Any]) -> Any:
    """What Redis answers, or `ProviderUnavailable`."""
    task = asyncio.current_task()
    assert task is not None
    cancelled = task.cancelling()
    try:
        return await asked
    except (RedisError, OSError) as error:
        raise ProviderUnavailable(f"Redis (TROUPE_REDIS_URL) does not serve: {error}") from error
    finally:
        # The client may lose a cancellation that comes as an answer does (redis-py 8.1).
        if task.cancelling() > cancelled:
            raise asyncio.CancelledError


def _member(url: str, value: str) -> Member | None:
    """The member, or None for what another version or another program wrote."""
    try:
        return Member(url, float(value.partition(" ")[2]))
    except (ValueError, ProviderUnavailable):
        return None
