"""Which replica gets which conversation, while replicas come, go, fill up and fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from tests.engine.conftest import write_checkpoint
from tests.gateway.engines.fleet import QUICK, Door, Fleet, answer, ask, fleet, make
from troupe.gateway.engines import Member
from troupe.gateway.errors import ProviderUnavailable, RateLimited
from troupe.gateway.rendezvous import Bound

CHATS = [f"chat-{number}" for number in range(24)]


def counted(name: str, door: Door) -> float:
    labels = {"replica": door.url.removeprefix("http://")}
    return REGISTRY.get_sample_value(f"troupe_gateway_{name}", labels) or 0.0


async def say(some: Fleet, chats: list[str]) -> dict[str, str]:
    """Who answers each chat."""
    found = {}
    for chat in chats:
        before = {door.url: len(door.asked) for door in some.doors}
        await answer(some.provider, ask(chat, tokens=2))
        (found[chat],) = [d.url for d in some.doors if len(d.asked) > before[d.url]]
    return found


async def until(holds) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_conversation_stays_and_is_found_in_memory(folder: Path) -> None:
    async with fleet([folder] * 3) as some:
        first = await say(some, CHATS)
        assert set(first.values()) == {door.url for door in some.doors}
        assert await say(some, CHATS) == first == {chat: some.home(chat).url for chat in CHATS}
        again = await answer(some.provider, ask(CHATS[0]))
        assert again.finish.usage.cached_tokens == 39


async def test_when_one_dies_only_its_conversations_move_and_they_come_back(folder: Path) -> None:
    pace = replace(QUICK, fit=3600.0)  # so that it is an answer that finds it dead
    async with fleet([folder] * 3, pace=pace) as some:
        first = await say(some, CHATS)
        dead = some.doors[0]
        moved = sum(counted("conversations_moved_total", door) for door in some.doors)
        failures = counted("replica_failures_total", dead)
        dead.dead = True
        then = await say(some, CHATS)
        theirs = [chat for chat in CHATS if first[chat] == dead.url]
        assert {chat for chat in CHATS if then[chat] != first[chat]} == set(theirs)
        after = sum(counted("conversations_moved_total", door) for door in some.doors)
        assert after - moved == len(theirs)
        assert counted("replica_failures_total", dead) - failures == 1
        assert counted("replica_ready", dead) == 0
        dead.dead = False
        await until(lambda: counted("replica_ready", dead) == 1)
        assert await say(some, CHATS) == first


async def test_one_that_is_announced_gets_its_share_and_one_that_withdraws_gives_it_back(
    folder: Path,
) -> None:
    async with fleet([folder] * 3, members=[]) as some:
        registry = some.provider.registry
        for door in some.doors[:2]:
            await registry.announce(Member(door.url), None)
        first = await say(some, CHATS)
        await registry.announce(Member(some.doors[2].url), None)
        await until(lambda: counted("replica_ready", some.doors[2]) == 1)
        then = await say(some, CHATS)
        came = some.doors[2].url
        assert {then[chat] for chat in CHATS if then[chat] != first[chat]} == {came}
        await registry.withdraw(came)
        await until(lambda: counted("replica_ready", some.doors[2]) == 0)
        assert await say(some, CHATS) == first


async def test_a_weight_is_a_share(folder: Path) -> None:
    async with fleet([folder] * 2, members=[]) as some:
        for door, weight in zip(some.doors, (1.0, 50.0), strict=True):
            await some.provider.registry.announce(Member(door.url, weight), None)
        found = list((await say(some, CHATS)).values())
        assert found.count(some.doors[1].url) >= 20


async def test_one_that_drains_finishes_its_streams_and_gets_no_more(folder: Path) -> None:
    async with fleet([folder] * 2) as some:
        (model,) = await some.provider.models()
        leaving = some.home("chat")
        events = some.provider.stream(ask(), model)
        await anext(events)
        await some.provider.registry.drain(leaving.url, True)
        await asyncio.sleep(0.1)
        assert set((await say(some, CHATS)).values()) == {d.url for d in some.doors} - {leaving.url}
        rest = [event async for event in events]
        assert "resumed" not in rest[-1].extra  # type: ignore[union-attr]
        await some.provider.registry.drain(leaving.url, False)
        await asyncio.sleep(0.1)
        assert len(set((await say(some, CHATS)).values())) == 2


async def test_one_that_is_removed_finishes_its_streams(folder: Path) -> None:
    async with fleet([folder] * 2, members=[]) as some:
        for door in some.doors:
            await some.provider.registry.announce(Member(door.url), None)
        (model,) = await some.provider.models()
        events = some.provider.stream(ask(), model)
        await anext(events)
        await some.provider.registry.withdraw(some.home("chat").url)
        await asyncio.sleep(0.1)
        rest = [event async for event in events]
        assert "resumed" not in rest[-1].extra  # type: ignore[union-attr]


async def test_a_full_one_is_passed_over_within_the_bound(folder: Path) -> None:
    async with fleet([folder] * 2, bound=Bound(1.25, floor=0.0)) as some:
        (model,) = await some.provider.models()
        passed = counted("replica_passed_over_total", some.home("chat"))
        streams = [some.provider.stream(ask(tokens=200), model) for _ in range(6)]
        for events in streams:
            await anext(events)
        loads = sorted(counted("replica_in_flight", door) for door in some.doors)
        assert loads == [2, 4]  # 1.25 times the mean of 3, rounded up
        assert counted("replica_passed_over_total", some.home("chat")) - passed == 2
        for events in streams:
            await events.aclose()
        assert [counted("replica_in_flight", door) for door in some.doors] == [0, 0]


async def test_a_full_queue_sends_the_answer_to_the_next(folder: Path) -> None:
    async with fleet([folder] * 2) as some:
        some.home("chat").full = True
        await answer(some.provider, ask())
        for door in some.doors:
            door.full = True
        with pytest.raises(RateLimited):
            await answer(some.provider, ask())
        assert [counted("replica_ready", door) for door in some.doors] == [1, 1]


async def test_a_replica_of_another_tokenizer_gets_no_tokens_of_this_one(
    folder: Path, tmp_path: Path
) -> None:
    other = write_checkpoint(tmp_path / "other")
    text = (other / "tokenizer.json").read_text("utf-8")
    (other / "tokenizer.json").write_text(text.replace('"<pad>"', '"<padding>"'), "utf-8")
    async with fleet([folder, folder, other]) as some:
        (model,) = await some.provider.models()
        at_home = {door.url for door in some.doors if door.url != some.doors[2].url}
        odd = min(door.url for door in some.doors) == some.doors[2].url
        found = set((await say(some, CHATS)).values())
        assert found == ({some.doors[2].url} if odd else at_home)
        assert model.ready


async def test_nobody_there_is_said_with_reasons() -> None:
    provider = make([Door(app=None, url="http://127.0.0.1:1")])  # type: ignore[arg-type]
    with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:1: .*cannot be reached"):
        await provider.models()
    await provider.close()


async def test_what_an_unreachable_registry_last_said_holds(folder: Path) -> None:
    async with fleet([folder]) as some:
        await some.provider.models()

        async def fails() -> list[Member]:
            raise ProviderUnavailable("the registry is gone")

        some.provider.registry.members = fails  # type: ignore[method-assign]
        await asyncio.sleep(0.1)
        await answer(some.provider, ask())
