"""The gateway over real servers: which model, how often, how long, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from tests.gateway.upstream import GOOD, Upstream, ask, chunk, events, status, upstream
from troupe.gateway import Gateway, Policy, Timeouts, from_settings
from troupe.gateway.breaker import BreakerPolicy
from troupe.gateway.discovery import Candidate, Discovery
from troupe.gateway.errors import (
    BadRequest,
    GatewayError,
    ModelNotFound,
    ProviderUnavailable,
    RateLimited,
    Timeout,
    UpstreamError,
)
from troupe.gateway.providers import OpenAIProvider
from troupe.gateway.retry import RetryPolicy
from troupe.gateway.types import Delta, Finish
from troupe.settings import Settings

QUICK = Policy(
    timeouts=Timeouts(first_token=5.0, between_tokens=5.0, total=20.0),
    retry=RetryPolicy(attempts=3, first_pause_s=0.01, longest_pause_s=0.02, patience_s=0.5),
    breaker=BreakerPolicy(failures=50),
)


@asynccontextmanager
async def gateway_to(*answers, policy: Policy = QUICK) -> AsyncIterator[tuple[Gateway, Upstream]]:
    async with upstream(*answers) as server:
        gateway = Gateway([OpenAIProvider("bird", server.url)], policies={"bird": policy})
        try:
            yield gateway, server
        finally:
            await gateway.close()


async def whole(gateway: Gateway, model: str = "bird:parrot") -> str:
    text, last = "", None
    async with aclosing(gateway.stream(ask(model))) as stream:
        async for event in stream:
            if isinstance(event, Delta):
                text += event.text
            else:
                last = event
    assert isinstance(last, Finish)
    return text


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_model_is_found_and_answers():
    before = counted("troupe_gateway_answers_total", provider="bird", outcome="stop")
    cached = counted("troupe_gateway_tokens_total", provider="bird", kind="cached")
    async with gateway_to(events(*GOOD)) as (gateway, _):
        assert [m.id for m in await gateway.models()] == ["bird:parrot"]
        assert (await gateway.resolve("bird:parrot")).name == "parrot"
        assert (await gateway.resolve(None)).name == "parrot"
        assert await whole(gateway) == "Hello"
    assert counted("troupe_gateway_answers_total", provider="bird", outcome="stop") == before + 1
    assert counted("troupe_gateway_tokens_total", provider="bird", kind="cached") == cached + 8


async def test_an_unknown_model_is_said_so():
    async with gateway_to(events(*GOOD)) as (gateway, _):
        with pytest.raises(ModelNotFound, match="'bird:no'"):
            await gateway.resolve("bird:no")
        with pytest.raises(ModelNotFound):
            await whole(gateway, "bird:no")


@pytest.mark.parametrize("bad", [status(500), status(503), status(429, retry_after="0"),
                                 events("data: x\n\n"), events(cut=True)])  # fmt: skip
async def test_what_fails_before_the_first_token_is_asked_again(bad):
    async with gateway_to(bad, bad, events(*GOOD)) as (gateway, server):
        assert await whole(gateway) == "Hello"
    assert len(server.requests) == 3


async def test_it_gives_up_after_its_attempts():
    async with gateway_to(status(500)) as (gateway, server):
        with pytest.raises(UpstreamError):
            await whole(gateway)
    assert len(server.requests) == 3


async def test_nothing_is_asked_again_after_the_first_token():
    async with gateway_to(events(chunk("Hi"), cut=True), events(*GOOD)) as (gateway, server):
        stream = gateway.stream(ask("bird:parrot"))
        assert await anext(stream) == Delta("Hi")
        with pytest.raises(UpstreamError):
            await anext(stream)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("bad", "error"),
    [(status(400), BadRequest), (status(429, retry_after="99"), RateLimited)],
)
async def test_what_would_not_help_is_not_asked_again(bad, error):
    async with gateway_to(bad) as (gateway, server):
        with pytest.raises(error):
            await whole(gateway)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("limits", "pieces"),
    [
        (Timeouts(first_token=0.1), [30.0, chunk("Hi")]),
        (Timeouts(between_tokens=0.1), [chunk("Hi"), 30.0]),
        (Timeouts(total=0.3), [chunk("Hi"), *[0.05, chunk("Hi")] * 1000]),
    ],
)
async def test_each_time_limit_ends_the_answer_and_the_work(limits, pieces):
    policy = Policy(limits, RetryPolicy(attempts=1))
    async with gateway_to(events(*pieces), policy=policy) as (gateway, server):
        with pytest.raises(Timeout):
            await whole(gateway)
        await asyncio.wait_for(server.gone.wait(), 10)


async def test_closing_the_iterator_ends_the_work_at_the_provider():
    before = counted("troupe_gateway_answers_total", provider="bird", outcome="cancelled")
    async with gateway_to(events(chunk("Hi"), 30.0, chunk("more"))) as (gateway, server):
        stream = gateway.stream(ask("bird:parrot"))
        assert await anext(stream) == Delta("Hi")
        await stream.aclose()
        await asyncio.wait_for(server.gone.wait(), 10)
    after = counted("troupe_gateway_answers_total", provider="bird", outcome="cancelled")
    assert after == before + 1


async def test_cancelling_before_the_first_token_ends_the_work_too():
    async with gateway_to(events(": wait\n\n", 30.0)) as (gateway, server):
        task = asyncio.create_task(whole(gateway))
        while not server.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.gone.wait(), 10)


async def test_a_provider_that_keeps_failing_is_left_alone():
    policy = Policy(retry=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=2, open_s=60))
    async with gateway_to(status(500), policy=policy) as (gateway, server):
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await whole(gateway)
        with pytest.raises(ProviderUnavailable, match="left alone") as caught:
            await whole(gateway)
        assert len(server.requests) == 2
        assert caught.value.retry_after is not None
        assert counted("troupe_gateway_circuit_open", provider="bird") == 1


async def test_refusals_of_a_request_do_not_open_the_circuit():
    policy = Policy(retry=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=1, open_s=60))
    answers = [status(400), status(429), status(404), events(*GOOD)]
    async with gateway_to(*answers, policy=policy) as (gateway, _):
        for _ in range(3):
            with pytest.raises(GatewayError):
                await whole(gateway)
        assert await whole(gateway) == "Hello"


async def test_a_failing_provider_hides_no_other():
    async with upstream(events(*GOOD)) as good, upstream(events(), models=[]) as empty:
        providers = [
            OpenAIProvider("gone", "http://127.0.0.1:1/v1"),
            OpenAIProvider("empty", empty.url),
            OpenAIProvider("bird", good.url),
        ]
        gateway = Gateway(providers)
        assert [m.id for m in await gateway.models()] == ["bird:parrot"]
        await gateway.close()


async def test_models_of_a_provider_that_went_away_stay_in_the_list_as_not_ready():
    async with upstream(events(*GOOD)) as server:
        gateway = Gateway([OpenAIProvider("bird", server.url)])
        assert (await gateway.models())[0].ready
    gateway._offers.doubt()
    gateway._offers._asked -= 2  # as if two seconds had passed
    (model,) = await gateway.models()
    assert (model.id, model.ready) == ("bird:parrot", False)
    assert "cannot be reached" in model.why_not
    await gateway.close()


async def test_the_list_is_kept_for_a_while():
    async with gateway_to(events(*GOOD)) as (gateway, server):
        for _ in range(5):
            await gateway.models()
        assert server.listed == 1


async def test_local_servers_are_found_and_offered_by_their_names():
    async with (
        upstream(events(*GOOD), models=[{"id": "llama3:8b"}]) as ollama,
        upstream(events(), models=[{"id": "m", "owned_by": "someone"}]) as stranger,
        upstream(events(), models=[{"id": "t", "owned_by": "troupe"}]) as own,
        upstream(events(), models=[{"id": "x"}]) as skipped,
    ):
        candidates = [
            Candidate("ollama", ollama.port),
            Candidate("llama-server", stranger.port, ("llamacpp",)),
            Candidate("other-troupe", own.port),
            Candidate("self", skipped.port),
            Candidate("nobody", 1),
        ]
        gateway = Gateway([], Discovery({skipped.port}, candidates))
        assert [m.id for m in await gateway.models()] == ["ollama:llama3:8b"]
        assert await whole(gateway, "ollama:llama3:8b") == "Hello"
        assert skipped.listed == 0
        await gateway.close()


async def test_a_local_server_that_starts_later_is_found_and_one_that_stops_goes():
    async with upstream(events(*GOOD)) as server:
        port = server.port
    discovery = Discovery((), [Candidate("ollama", port)])
    assert await discovery.look() == []
    async with upstream(events(*GOOD)) as server:
        later = Discovery((), [Candidate("ollama", server.port)])
        assert [p.name for p in await later.look()] == ["ollama"]
    assert await later.look() == []
    await later.close()
    await discovery.close()


async def test_without_any_model_it_says_why():
    gateway = Gateway([OpenAIProvider("gone", "http://127.0.0.1:1/v1")])
    assert await gateway.models() == []
    with pytest.raises(ProviderUnavailable, match="gone cannot be reached"):
        await gateway.resolve(None)
    await gateway.close()


@pytest.mark.parametrize("listed", [[3, {"id": 4}], 3, "x", {"data": 1}])
async def test_a_list_of_models_that_is_none_does_no_harm(listed):
    async with upstream(events(), models=listed) as server:
        gateway = Gateway([OpenAIProvider("bird", server.url)])
        assert await gateway.models() == []
        await gateway.close()


async def test_settings_name_the_providers(tmp_path):
    async with upstream(events(*GOOD)) as server:
        settings = Settings(
            engine_url="http://127.0.0.1:1",
            openai_base_url=server.url,
            openai_api_key="k",
            discover_local_models=False,
            default_model="openai:parrot",
        )
        gateway = from_settings(settings)
        await gateway.open()
        assert (await gateway.resolve(None)).id == "openai:parrot"
        assert await whole(gateway, "openai:parrot") == "Hello"
        assert server.requests[0][0]["authorization"] == "Bearer k"
        await gateway.close()
