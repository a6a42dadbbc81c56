"""The registry of engines: one contract for the dict and for Redis."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from tests.gateway.engines.fleet import answer, ask, fleet
from tests.support.redis_server import RedisServer, redis_server
from troupe.gateway.engines import LocalRegistry, Member, Registry
from troupe.gateway.engines.announcer import announced
from troupe.gateway.engines.members import MAX_MEMBERS, parse
from troupe.gateway.engines.redis_registry import RedisRegistry
from troupe.gateway.engines.registry import everyone
from troupe.gateway.errors import ProviderUnavailable

A, B = Member("http://a:8010"), Member("https://b:8010/engine", 2.5)
LEASE = 3600.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as running:
        yield running


@pytest.fixture(params=["dict", "redis"])
async def registry(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Registry]:
    one: Registry
    one = LocalRegistry() if request.param == "dict" else RedisRegistry(server.url, uuid4().hex)
    yield one
    await one.close()


async def test_who_is_announced_is_there_by_address(registry: Registry) -> None:
    assert await registry.members() == []
    await registry.announce(B, LEASE)
    await registry.announce(A, None)
    assert await registry.members() == [A, B]


async def test_to_announce_again_changes_the_weight_and_the_lease(registry: Registry) -> None:
    await registry.announce(A, 0.05)
    await registry.announce(Member(A.url, 7.0), LEASE)
    await asyncio.sleep(0.1)
    assert await registry.members() == [Member(A.url, 7.0)]


async def test_a_lease_ends(registry: Registry) -> None:
    await registry.announce(A, 0.05)
    await registry.announce(B, LEASE)
    await asyncio.sleep(0.1)
    assert await registry.members() == [B]


async def test_who_withdraws_is_gone(registry: Registry) -> None:
    await registry.announce(A, None)
    await registry.withdraw(A.url)
    await registry.withdraw("http://never:1")
    assert await registry.members() == []


async def test_a_drain_outlasts_a_restart_and_is_taken_back(registry: Registry) -> None:
    await registry.announce(A, LEASE)
    await registry.drain(A.url, True)
    await registry.drain(A.url, True)
    await registry.withdraw(A.url)
    await registry.announce(A, LEASE)
    assert await registry.drained() == {A.url}
    assert await everyone(registry, [B]) == [Member(A.url, draining=True), B]
    await registry.drain(A.url, False)
    await registry.drain(A.url, False)
    assert await registry.drained() == frozenset()


async def test_one_that_is_there_for_good_can_be_drained_and_reweighted(registry: Registry) -> None:
    await registry.drain(B.url, True)
    assert await everyone(registry, [A, B]) == [A, Member(B.url, 2.5, draining=True)]
    await registry.announce(Member(A.url, 3.0), LEASE)
    assert (await everyone(registry, [A, B]))[0].weight == 3.0


async def test_there_is_a_limit_and_those_within_it_may_announce_again(registry: Registry) -> None:
    for number in range(MAX_MEMBERS):
        await registry.announce(Member(f"http://e:{number}"), LEASE)
        await registry.drain(f"http://e:{number}", True)
    with pytest.raises(ProviderUnavailable, match=str(MAX_MEMBERS)):
        await registry.announce(A, LEASE)
    with pytest.raises(ProviderUnavailable, match=str(MAX_MEMBERS)):
        await registry.drain(A.url, True)
    await registry.announce(Member("http://e:0"), LEASE)
    await registry.drain("http://e:0", True)
    assert len(await registry.members()) == MAX_MEMBERS


async def test_an_engine_is_announced_as_long_as_it_is_there(registry: Registry) -> None:
    async with announced(registry, A, lease_s=0.3):
        await asyncio.sleep(0.6)  # longer than its lease
        assert await registry.members() == [A]
    assert await registry.members() == []


async def test_what_others_wrote_into_redis_is_left_out(server: RedisServer) -> None:
    prefix = uuid4().hex
    registry, client = RedisRegistry(server.url, prefix), Redis.from_url(server.url)
    odd: dict[str, Any] = {
        "http://x:1": "", "http://x:2": "never soon", "http://x:3": "-1 -5", "nowhere": "-1 1",
        "http://x:4": "-1 nan", B.url: "-1 2.5",
    }  # fmt: skip
    await client.hset(f"{prefix}:engines", mapping=odd)  # type: ignore[misc]
    assert await registry.members() == [B]
    await registry.close()
    await client.aclose()


async def test_a_redis_that_is_away_is_said_so_and_its_password_is_not(tmp_path: Path) -> None:
    registry = RedisRegistry(f"unix://:secret@{tmp_path}/none.sock")
    for asked in (registry.members(), registry.announce(A, LEASE), registry.drained()):
        with pytest.raises(ProviderUnavailable, match="TROUPE_REDIS_URL") as raised:
            await asked
        assert "secret" not in str(raised.value)
    async with announced(registry, A, lease_s=0.05):  # is no reason not to serve
        await asyncio.sleep(0.1)
    await registry.close()
    with pytest.raises(ProviderUnavailable, match="TROUPE_REDIS_URL"):
        RedisRegistry("http://:secret@nowhere")


async def test_a_cancellation_is_never_lost(server: RedisServer) -> None:
    registry = RedisRegistry(server.url, uuid4().hex)

    async def ask_on() -> None:
        while True:
            await registry.members()

    for number in range(300):
        asking = asyncio.create_task(ask_on())
        await asyncio.sleep(0.0003 * (number % 17))
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
    await registry.close()


async def test_gateways_of_two_processes_follow_one_redis(
    folder: Path, server: RedisServer
) -> None:
    prefix = uuid4().hex
    engine = RedisRegistry(server.url, prefix)
    async with fleet([folder], members=[], registry=RedisRegistry(server.url, prefix)) as one:
        with pytest.raises(ProviderUnavailable, match="no engine"):
            await one.provider.models()
        async with announced(engine, Member(one.doors[0].url)):
            await asyncio.sleep(0.1)
            assert (await answer(one.provider, ask(tokens=9))).text
        await asyncio.sleep(0.1)
        with pytest.raises(ProviderUnavailable):
            await answer(one.provider, ask(tokens=2))
    await engine.close()


def test_addresses_are_read_with_their_weights() -> None:
    found = parse(["http://a:1/", " http://b:2/x ; weight=2.5 "])
    assert found == [Member("http://a:1"), Member("http://b:2/x", 2.5)]
    assert [member.name for member in found] == ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["a:8010"], "no http"),
        (["http://"], "no http"),
        (["http://a;weight=none"], "no option"),
        (["http://a;height=2"], "no option"),
        (["http://a;weight=0"], "above 0"),
        (["http://a;weight=nan"], "above 0"),
        (["http://a;weight=1001"], "1000"),
        (["http://a", "http://b", "http://a/"], "twice"),
        ([f"http://a:{n}" for n in range(MAX_MEMBERS + 1)], "is the most"),
    ],
)
def test_an_address_that_is_none_is_refused(given: list[str], why: str) -> None:
    with pytest.raises(ProviderUnavailable, match=why):
        parse(given)
