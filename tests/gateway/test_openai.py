"""Any OpenAI-compatible server: its models, its answers, its failures."""

from __future__ import annotations

import pytest

from tests.gateway.upstream import GOOD, ask, chunk, events, raw, status, upstream
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
from troupe.gateway.providers import OpenAIProvider
from troupe.gateway.providers.refusals import retry_after
from troupe.gateway.types import Delta, Finish, Sampling
from troupe.prompt import ChatFormat
from troupe.telemetry import request_id


async def answer(url: str, key: str | None = None, **more: object) -> tuple[str, Finish]:
    provider = OpenAIProvider("bird", url, key)
    try:
        (model, *_) = await provider.models()
        text, last = "", None
        async for event in provider.stream(ask(model.id, **more), model):
            assert last is None
            if isinstance(event, Delta):
                text += event.text
            else:
                last = event
        assert last is not None
        return text, last
    finally:
        await provider.close()


async def test_an_answer_streams_and_ends_with_its_usage():
    async with upstream(events(": hi\n\n", *GOOD)) as server:
        text, finish = await answer(server.url, "secret", stop=("a", "b", "c", "d", "e"))
    assert text == "Hello"
    assert (finish.reason, finish.model, finish.provider) == ("stop", "bird:parrot", "bird")
    usage = finish.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (12, 8, 3)
    assert 0 < usage.ttft_ms <= usage.total_ms
    headers, body = server.requests[0]
    assert headers["authorization"] == "Bearer secret"
    assert body["model"] == "parrot"
    assert body["messages"] == [{"role": "user", "content": "Say hello"}]
    assert body["stream"] is True
    assert body["max_tokens"] == 16
    assert body["stop"] == ["a", "b", "c", "d"]
    assert "temperature" not in body


async def test_sampling_and_ids_are_passed_on():
    sampling = Sampling(temperature=0.5, top_k=7, min_p=0.1, seed=3, max_tokens=9)
    async with upstream(events(*GOOD)) as server:
        with request_id.bound("request-7"):
            await answer(server.url, sampling=sampling)
        await answer(server.url, request_id="answer-8")
    headers, body = server.requests[0]
    assert headers["x-request-id"] == "request-7"
    assert {k: body[k] for k in ("temperature", "top_k", "min_p", "seed", "max_tokens")} == {
        "temperature": 0.5, "top_k": 7, "min_p": 0.1, "seed": 3, "max_tokens": 9,
    }  # fmt: skip
    assert server.requests[1][0]["x-request-id"] == "answer-8"


@pytest.mark.parametrize(
    ("pieces", "text", "reason", "estimated"),
    [
        ([chunk("Hi"), chunk(None, "length")], "Hi", "length", True),
        ([chunk("Hi"), "data: [DONE]\n\n"], "Hi", "stop", True),
        ([chunk("Hi", "stop").replace("\n\n", "\r\n\r\n")], "Hi", "stop", True),
        ([chunk("Hi", "stop").rstrip("\n")], "Hi", "stop", True),
        ([chunk("Hi", "content_filter")], "Hi", "stop", True),
        (["data: {}\n\n", chunk(None), chunk("Hi", "eos")], "Hi", "stop", True),
        ([chunk("\ud83d"), chunk("x", "stop")], "?x", "stop", True),
    ],
)
async def test_servers_of_many_habits_are_understood(pieces, text, reason, estimated):
    async with upstream(events(*pieces)) as server:
        got, finish = await answer(server.url)
    assert (got, finish.reason) == (text, reason)
    assert finish.extra.get("usage_estimated", False) is estimated
    assert finish.usage.completion_tokens >= 1
    assert finish.usage.prompt_tokens >= 4


async def test_a_server_that_does_not_stream_is_understood():
    whole = '{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    async with upstream(raw(whole, "application/json")) as server:
        assert (await answer(server.url))[0] == "Hi"


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (status(401), BadRequest, "check the key"),
        (status(404), ModelNotFound, "no"),
        (status(429, retry_after="3"), RateLimited, "no"),
        (status(400, {"error": {"message": "odd", "code": "x"}}), BadRequest, "odd"),
        (status(400, {"error": {"message": "m", "code": "context_length_exceeded"}}),
         ContextTooLong, "m"),
        (status(400, {"error": "This model's maximum context length is 5"}), ContextTooLong, "5"),
        (status(413), ContextTooLong, "no"),
        (status(422, {"detail": "what"}), BadRequest, "what"),
        (status(500), UpstreamError, "no"),
        (status(503), ProviderUnavailable, "no"),
        (status(504), Timeout, "no"),
        (status(302), BadRequest, "no"),
        (raw("<html>", "text/html"), UpstreamError, "broke off"),
        (events("data: garbage\n\n"), UpstreamError, "no JSON"),
        (events("data: [1]\n\n"), UpstreamError, "no chunk"),
        (events("data: " + "[" * 100_000 + "\n\n"), UpstreamError, "no JSON"),
        (events(chunk("Hi")), UpstreamError, "broke off"),
        (events(chunk("Hi"), cut=True), UpstreamError, "broke"),
        (events(chunk("Hi"), 'data: {"error": {"message": "sick"}}\n\n'), UpstreamError, "sick"),
        (events('data: {"error": {"message": "m", "code": "rate_limit_exceeded"}}\n\n'),
         RateLimited, "m"),
        (events(b"\x00\xff\xfe"), UpstreamError, "broke off"),
    ],
)  # fmt: skip
async def test_each_failure_has_its_error(reply, error, why):
    async with upstream(reply) as server:
        with pytest.raises(GatewayError, match=why) as caught:
            await answer(server.url)
    assert type(caught.value) is error
    if error is RateLimited and "no" in str(caught.value):
        assert caught.value.retry_after == 3.0


async def test_what_the_provider_says_is_passed_on_in_part_only():
    async with upstream(status(400, {"error": {"message": "x" * 5000}})) as server:
        with pytest.raises(BadRequest) as caught:
            await answer(server.url)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/v1", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ProviderUnavailable, match="address"):
        OpenAIProvider("bird", url)


async def test_nobody_at_the_address_is_said_so():
    async with upstream(events()) as server:
        port = server.port
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await answer(f"http://127.0.0.1:{port}/v1")


@pytest.mark.parametrize(
    ("item", "context"),
    [
        ({"id": "m"}, 4096),
        ({"id": "m", "max_model_len": 2048}, 2048),
        ({"id": "m", "context_length": 9000}, 9000),
        ({"id": "m", "meta": {"n_ctx_train": 777}}, 777),
        ({"id": "m", "max_model_len": "many", "context_window": -1}, 4096),
    ],
)
async def test_a_model_has_the_context_that_its_server_names(item, context):
    async with upstream(events(), models=[item]) as server:
        provider = OpenAIProvider("bird", server.url)
        (model,) = await provider.models()
        await provider.close()
    assert (model.id, model.name, model.context_length) == ("bird:m", "m", context)
    assert model.chat_format is ChatFormat.MESSAGES


async def test_models_that_cannot_chat_are_not_offered():
    listed = [{"id": "text-embedding-3"}, {"id": 5}, "odd", {"id": ""}, {"id": "talks"}]
    async with upstream(events(), models=listed) as server:
        provider = OpenAIProvider("bird", server.url)
        assert [m.name for m in await provider.models()] == ["talks"]
        await provider.close()


def test_retry_after_is_seconds_milliseconds_or_a_date():
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after({"retry-after": "2"}) == 2.0
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 00:00:09 GMT"}, now) == 9.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
    assert retry_after({"retry-after": "1e9"}) is None
    assert retry_after({"retry-after": "9" * 400}) == 86_400.0
