"""kill -9 at random moments, while people chat: nothing acknowledged is lost, doubled or moved."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.support.careful_client import CarefulClient
from tests.support.platform import Platform

KILLS = int(os.environ.get("TROUPE_TEST_KILLS", "40"))
PEOPLE = 6
TARGETS = ("web", "engine", "worker", "postgres")
# After most kills the site is given time to come back, so that the next one hits people who talk;
# after the others the next follows at once, into the restart.
LET_IT_RECOVER = 0.5
SETTLED = {"complete", "stopped", "interrupted", "failed"}


@pytest.mark.slow
@pytest.mark.timeout(2400)
async def test_kills_at_random_moments(tmp_path: Path) -> None:
    dice = random.Random(20261121)
    with Platform(tmp_path / "home") as platform:
        over, talking = asyncio.Event(), asyncio.Barrier(PEOPLE + 1)
        async with asyncio.TaskGroup() as group:  # what fails for one ends it for all
            people = [
                group.create_task(_chat(platform.url, number, talking, over))
                for number in range(PEOPLE)
            ]
            await talking.wait()
            killed = await _kill(platform, dice)
            over.set()
        said = [person.result() for person in people]
    assert sum(killed.values()) == KILLS
    assert set(killed) == set(TARGETS)
    assert all(said), "everyone got to say something"


async def _kill(platform: Platform, dice: random.Random) -> Counter[str]:
    """End processes, one at a time, at random moments, until all kills are spent."""
    killed: Counter[str] = Counter()
    while sum(killed.values()) < KILLS:
        await asyncio.sleep(dice.uniform(0.05, 1.2))
        target = dice.choice(TARGETS)
        if await asyncio.to_thread(platform.kill, target):
            killed[target] += 1
        if dice.random() < LET_IT_RECOVER:
            await asyncio.to_thread(platform.wait_ready)
    await asyncio.to_thread(platform.wait_ready)
    return killed


async def _chat(url: str, number: int, talking: asyncio.Barrier, over: asyncio.Event) -> int:
    """Talk until it is over, then compare the stored chat with what was acknowledged. Gives how
    many messages were said."""
    async with CarefulClient(url, patience=240) as client:
        await client.sign_in_as_guest()
        chat = await client.create_chat("mira-vale")
        acknowledged: list[tuple[str, str]] = []
        answers: dict[str, tuple[str, str]] = {}
        await talking.wait()
        while not over.is_set():
            text = f"person {number} says {len(acknowledged)}"
            message, answer = await client.say(chat["id"], chat["active_branch"], text)
            acknowledged.append((message, text))
            assert answer.state in SETTLED
            answers[answer.message] = (answer.state, answer.text)
        turns = await client.turns(chat["id"])
    messages = [turn["candidates"][0] for turn in turns]
    said = [(m["id"], m["body"]) for m in messages if m["speaker"].startswith("user:")]
    assert said == acknowledged
    stored = {m["id"]: m for m in messages[1:] if m["speaker"].startswith("char:")}
    assert list(stored) == list(answers), "one answer to each message, in order"
    for message, (state, text) in answers.items():
        assert (stored[message]["state"], stored[message]["body"]) == (state, text)
    return len(acknowledged)
