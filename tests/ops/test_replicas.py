"""`troupe up` with several engines: conversations spread over them, and survive any one's death."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.e2e.checkpoint import write_checkpoint
from tests.support.platform import API_KEY, Platform

PEOPLE = [f"person-{number}" for number in range(6)]
TOKENS = 1500


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("replicas")
    model = str(write_checkpoint(folder / "babble"))
    with Platform(folder / "home", model_dir=model, engine_replicas="2") as running:
        yield running


async def _until(what: str, holds) -> None:
    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


def _metric(platform: Platform, name: str) -> dict[str, float]:
    """A gateway's metric by the replica's port."""
    text = httpx.get(f"{platform.url}/metrics").text
    found = re.findall(
        rf'^troupe_gateway_{name}{{replica="[^"]*:(\d+)"}} (\S+)$', text, re.MULTILINE
    )
    return {port: float(value) for port, value in found}


async def _pieces(client: httpx.AsyncClient, person: str) -> AsyncIterator[str]:
    body = {
        "model": "babble",
        "messages": [{"role": "user", "content": f"I am {person}."}],
        "user": person,
        "seed": 7,
        "max_tokens": TOKENS,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            data = line.removeprefix("data: ")
            if not data or data == "[DONE]":
                continue
            event = json.loads(data)
            assert "error" not in event, event
            if event.get("usage"):
                assert event["usage"]["completion_tokens"] == TOKENS
            for choice in event["choices"]:
                yield choice["delta"].get("content") or ""


async def _say(client: httpx.AsyncClient, person: str, began: asyncio.Event | None = None) -> str:
    text = ""
    async for piece in _pieces(client, person):
        text += piece
        if began is not None and len(text) > 20:
            began.set()
    return text


async def test_answers_go_on_and_are_the_same_when_an_engine_is_killed(platform: Platform) -> None:
    await _until(
        "both are ready", lambda: list(_metric(platform, "replica_ready").values()) == [1, 1]
    )
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=120) as client:
        whole = await asyncio.gather(*(_say(client, person) for person in PEOPLE))
        began = [asyncio.Event() for _ in PEOPLE]
        answers = [
            asyncio.create_task(_say(client, person, event))
            for person, event in zip(PEOPLE, began, strict=True)
        ]
        await asyncio.gather(*(event.wait() for event in began))
        engines = await asyncio.to_thread(platform.children)
        engine = engines["engine"]
        engine.suspend()  # so that no answer ends before the engine does
        port = platform.env["TROUPE_ENGINE_PORT"]
        busy = (await asyncio.to_thread(_metric, platform, "replica_in_flight"))[port]
        engine.kill()
        assert await asyncio.gather(*answers) == whole
    assert busy > 0
    resumed = await asyncio.to_thread(_metric, platform, "streams_resumed_total")
    assert sum(resumed.values()) == busy
    await _until("it is back", lambda: list(_metric(platform, "replica_ready").values()) == [1, 1])
    after = await asyncio.to_thread(platform.children)
    assert after["engine"].pid != engine.pid
    assert after["engine-1"].pid == engines["engine-1"].pid


async def test_each_engine_says_how_it_is(platform: Platform) -> None:
    first = int(platform.env["TROUPE_ENGINE_PORT"])
    async with httpx.AsyncClient(timeout=30) as client:
        for port in (first, first + 1):
            assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
    logs = {path.name for path in (platform.home / "logs").iterdir()}
    assert {"engine.log", "engine-1.log"} <= logs
