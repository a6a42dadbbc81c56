"""The engine in two replicas of a local Ray cluster, one of which is killed in mid-stream."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress

import httpx
import psutil
import pytest

from tests.e2e.checkpoint import write_checkpoint
from tests.support.platform import free_ports
from troupe.gateway.engines import EnginesProvider, Member
from troupe.gateway.providers import TroupeProvider
from troupe.gateway.types import Delta, Finish, GenerationRequest, Sampling

TOKENS = 6000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, psutil.Process]]:
    """The address of Ray's proxy, and the process that all others come from."""
    folder = tmp_path_factory.mktemp("ray")
    (port,) = free_ports(1)
    model = str(write_checkpoint(folder / "babble"))
    argv = [sys.executable, "-m", "troupe", "serve", "engine", "--ray", "--replicas", "2"]
    told = {"TROUPE_MODEL_DIR": model, "TROUPE_ENGINE_PORT": str(port), "TROUPE_ENGINE_KV_MB": "32"}
    told |= {"TROUPE_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, env=os.environ | told, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    family = psutil.Process(process.pid)
    try:
        deadline = time.monotonic() + 120
        while not _is_ready(url):
            assert process.poll() is None, (folder / "log").read_text()[-4000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-4000:]
            time.sleep(0.2)
        yield url, family
    finally:
        everyone = [family, *family.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(everyone, 30)
        for each in left:
            with suppress(psutil.NoSuchProcess):
                each.kill()
    assert left == [], "all of Ray ends with it"


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _replicas(family: psutil.Process) -> list[psutil.Process]:
    found = []
    for process in family.children(recursive=True):
        with suppress(psutil.Error):
            if "ServeReplica" in " ".join(process.cmdline()):
                found.append(process)
    return found


def request(conversation: str, tokens: int = TOKENS) -> GenerationRequest:
    sampling = Sampling(temperature=1.0, seed=9, max_tokens=tokens)
    return GenerationRequest("babble", conversation, sampling, token_ids=list(range(20, 60)))


async def heard(provider: EnginesProvider, asked: GenerationRequest) -> tuple[str, Finish]:
    (model,) = await provider.models()
    text = ""
    async with aclosing(provider.stream(asked, model)) as events:
        async for event in events:
            if isinstance(event, Finish):
                return text, event
            text += event.text
    raise AssertionError("no end")


async def _cached(provider: EnginesProvider, chats: list[str]) -> list[int]:
    ends = [(await heard(provider, request(chat, 4)))[1] for chat in chats]
    return [end.usage.cached_tokens for end in ends]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_stream_goes_on_when_its_replica_is_killed(
    cluster: tuple[str, psutil.Process],
) -> None:
    url, family = cluster
    provider = EnginesProvider("troupe", lambda m: TroupeProvider(m.url), [Member(url)])
    try:
        chats = [f"chat-{number}" for number in range(8)]
        # Once both replicas are there, each chat finds what it left where it had been before.
        deadline = time.monotonic() + 60
        while await _cached(provider, chats) != [39] * 8 or len(_replicas(family)) < 2:
            assert time.monotonic() < deadline
        assert await _cached(provider, chats) == [39] * 8

        whole, end = await heard(provider, request("long"))
        assert end.usage.completion_tokens == TOKENS
        (model,) = await provider.models()
        theirs = await _whose(provider, family)
        pieces: list[str] = []
        async with aclosing(provider.stream(request("long"), model)) as events:
            await _hear(events, pieces, 50)
            theirs.suspend()  # so that the answer does not end before the replica does
            theirs.kill()
            end = await _hear(events, pieces, TOKENS)
        assert "".join(pieces) == whole
        assert end is not None
        assert end.usage.completion_tokens == TOKENS
        assert end.extra["resumed"] == 1
        deadline = time.monotonic() + 60
        while len(await asyncio.to_thread(_replicas, family)) < 2:
            assert time.monotonic() < deadline, "Ray starts another one"
            await asyncio.sleep(0.2)
    finally:
        await provider.close()


async def _whose(provider: EnginesProvider, family: psutil.Process) -> psutil.Process:
    """The replica that has the long conversation: the one whose sleep its answer feels."""
    (model,) = await provider.models()
    first, second = await asyncio.to_thread(_replicas, family)
    pieces: list[str] = []
    async with aclosing(provider.stream(request("long"), model)) as events:
        await _hear(events, pieces, 50)
        first.suspend()
        hearing = asyncio.create_task(_hear(events, pieces, TOKENS))
        done, _ = await asyncio.wait([hearing], timeout=5.0)
        first.resume()
        await hearing
    return second if done else first


async def _hear(
    events: AsyncGenerator[Delta | Finish, None], pieces: list[str], count: int
) -> Finish | None:
    """So many more pieces, or what is left, and the end."""
    for _ in range(count):
        match await anext(events):
            case Finish() as end:
                return end
            case Delta(text):
                pieces.append(text)
    return None
