"""The gateway against a server that fails in every way that servers do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.gateway.upstream_server import FakeServer
from tests.support.serving import serving
from troupe.gateway import Gateway, Retries, discovery
from troupe.gateway.errors import (
    BadRequest,
    ContextTooLong,
    GatewayError,
    ModelNotFound,
    ProviderUnavailable,
    RateLimited,
    Timeout,
    UpstreamError,
)
from troupe.gateway.providers.openai import OpenAIProvider
from troupe.gateway.types import Delta, Finish, GenerationRequest, Sampling
from troupe.gateway.upstream import TimeLimits
from troupe.telemetry import request_id

QUICK = TimeLimits(connect=1, answer=2, first_token=0.5, between_tokens=0.5)


@asynccontextmanager
async def gateway_to(server: FakeServer, **more: bool) -> AsyncIterator[Gateway]:
    async with serving(server.app) as port:
        provider = OpenAIProvider(
            "fake", f"http://127.0.0.1:{port}/v1", key="secret", limits=QUICK, **more
        )
        gateway = Gateway([provider], retries=Retries(attempts=3, first_wait_s=0.01))
        await gateway.open()
        try:
            yield gateway
        finally:
            await gateway.close()


def asking(model: str = "fake:one", **sampling: float) -> GenerationRequest:
    return GenerationRequest(
        model=model,
        conversation="c",
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
        messages=[{"role": "user", "content": "hi"}],
        stop=("\nSam:",),
    )


async def read(gateway: Gateway, request: GenerationRequest) -> tuple[str, Finish | None]:
    text, finish = "", None
    async for event in gateway.stream(request):
        if isinstance(event, Delta):
            text += event.text
        else:
            finish = event
    return text, finish


async def _drain(stream: AsyncGenerator[Delta | Finish, None]) -> None:
    async for _ in stream:
        pass


async def test_an_answer_arrives_whole_with_what_it_took() -> None:
    server = FakeServer()
    async with gateway_to(server) as gateway:
        with request_id.bound("req-1"):
            text, finish = await read(gateway, asking(temperature=0.5, top_k=3))
    assert text == "0 1 2 "
    assert finish is not None
    assert (finish.reason, finish.model, finish.provider) == ("length", "fake:one", "fake")
    usage = finish.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (9, 5, 3)
    asked, headers = server.asked[0], server.headers[0]
    assert asked["model"] == "one"
    assert asked["temperature"] == 0.5
    assert asked["stop"] == ["\nSam:"]
    assert "top_k" not in asked, "OpenAI's own server refuses it"
    assert headers["x-request-id"] == "req-1"
    assert headers["authorization"] == "Bearer secret"


async def test_local_servers_are_given_the_sampling_that_only_they_know() -> None:
    server = FakeServer()
    async with gateway_to(server, extended=True) as gateway:
        await read(gateway, asking(top_k=3))
    assert server.asked[0]["top_k"] == 3


async def test_a_server_that_counts_nothing_is_counted_for() -> None:
    server = FakeServer()
    server.faults = ["no usage"]
    async with gateway_to(server) as gateway:
        _, finish = await read(gateway, asking())
    assert finish is not None
    assert finish.usage.completion_tokens == 3


@pytest.mark.parametrize("fault", ["500", "502", "503", "429 after 0.05", "silent"])
async def test_a_failure_before_the_first_word_is_tried_again(fault: str) -> None:
    server = FakeServer()
    server.faults = [fault]
    async with gateway_to(server) as gateway:
        text, _ = await read(gateway, asking())
    assert text == "0 1 2 "
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [("broken", UpstreamError), ("error inside", UpstreamError), ("stall", Timeout)],
)
async def test_a_failure_after_the_first_word_is_not(fault: str, error: type[GatewayError]) -> None:
    server = FakeServer()
    server.faults = [fault]
    async with gateway_to(server) as gateway:
        stream = gateway.stream(asking())
        assert await anext(stream) == Delta("0 ")
        with pytest.raises(error):
            await _drain(stream)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("faults", "error", "asked"),
    [
        (["400"], BadRequest, 1),
        (["401"], BadRequest, 1),
        (["404"], ModelNotFound, 1),
        (["long"], ContextTooLong, 1),
        (["429 after 60"], RateLimited, 1),
        (["500", "500", "500"], UpstreamError, 3),
        (["garbage"] * 3, UpstreamError, 3),
    ],
)
async def test_each_failure_has_its_name(
    faults: list[str], error: type[GatewayError], asked: int
) -> None:
    server = FakeServer()
    server.faults = list(faults)
    async with gateway_to(server) as gateway:
        with pytest.raises(error):
            await read(gateway, asking())
    assert len(server.asked) == asked


async def test_closing_the_stream_aborts_the_work() -> None:
    server = FakeServer()
    server.faults = ["endless"]
    async with gateway_to(server) as gateway:
        stream = gateway.stream(asking())
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(server.aborted.wait(), 5)


async def test_a_provider_that_keeps_failing_is_left_alone_for_a_while() -> None:
    server = FakeServer()
    server.faults = ["500"] * 20
    async with gateway_to(server) as gateway:
        for _ in range(3):
            with pytest.raises(GatewayError):
                await read(gateway, asking())
        asked = len(server.asked)
        with pytest.raises(ProviderUnavailable, match="asked again in"):
            await read(gateway, asking())
        assert len(server.asked) == asked


async def test_models_are_named_by_their_provider() -> None:
    server = FakeServer()
    async with gateway_to(server) as gateway:
        models = await gateway.models()
        assert [(m.id, m.context_length) for m in models] == [
            ("fake:one", 4096),
            ("fake:two", 8192),
        ]
        assert (await gateway.resolve(None)).id == "fake:one"
        with pytest.raises(ModelNotFound, match="nowhere"):
            await gateway.resolve("nowhere")


async def test_a_server_that_is_not_there_says_so() -> None:
    gateway = Gateway([OpenAIProvider("gone", "http://127.0.0.1:9/v1", limits=QUICK)])
    assert await gateway.models() == []
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await gateway.resolve(None)
    await gateway.close()


@pytest.mark.parametrize("listed", [[], {"data": 3}, "x", {"data": [3, {"id": 4}]}])
async def test_a_list_of_models_that_is_none_is_no_crash(listed: object) -> None:
    server = FakeServer()
    server.listed = listed
    async with gateway_to(server) as gateway:
        assert await gateway.models() == []


async def test_servers_on_this_machine_are_found_but_never_ourselves() -> None:
    server = FakeServer()
    async with serving(server.app) as port:
        ports = {"ollama": port, "vllm": 9, "own": 7}
        places = discovery.places(frozenset({7}), ports)
        assert [place.name for place in places] == ["ollama", "vllm"]
        assert [place.name for place in await discovery.look(places)] == ["ollama"]


async def test_what_is_found_is_offered_and_what_is_gone_is_not() -> None:
    server = FakeServer()
    async with serving(server.app) as port:
        here = [True]

        async def discover() -> list[OpenAIProvider]:
            url = f"http://127.0.0.1:{port}/v1"
            return [OpenAIProvider("ollama", url, limits=QUICK)] if here[0] else []

        gateway = Gateway([], discover=discover, discover_every_s=0.02)  # type: ignore[arg-type]
        await gateway.open()
        await asyncio.sleep(0.1)
        assert [m.id for m in await gateway.models()] == ["ollama:one", "ollama:two"]
        here[0] = False
        await asyncio.sleep(0.1)
        assert await gateway.models() == []
        await gateway.close()
