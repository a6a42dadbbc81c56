"""The `openai` Python package against `/v1`, as its users would call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.support.chat_server import ChatServer
from troupe.gateway.errors import ProviderUnavailable, RateLimited, UpstreamError

KEY = "tr-a-key"


@pytest.fixture
async def client(server: ChatServer) -> AsyncIterator[AsyncOpenAI]:
    server.rows.api_key(KEY, server.rows.owner)
    async with AsyncOpenAI(
        base_url=f"http://127.0.0.1:{server.port}/v1", api_key=KEY, max_retries=0
    ) as client:
        yield client


async def test_models_and_characters_are_listed(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names == ["scripted:one", "character/mira"]
    assert (await client.models.retrieve("character/mira")).owned_by == "troupe"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("character/nobody")


async def test_a_model_answers(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="scripted:one", messages=[{"role": "user", "content": "Hi"}]
    )
    assert answer.choices[0].message.content == "You said: Hi "
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 40


async def test_a_character_answers_from_its_card(server: ChatServer, client: AsyncOpenAI) -> None:
    await client.chat.completions.create(
        model="character/mira",
        messages=[
            {"role": "system", "content": "Speak in rhyme."},
            {"role": "user", "content": "Hi", "name": "Bo"},
        ],
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=20,
        seed=7,
        stop=["\n\n"],
        user="u1",
    )
    request = server.models.requests[-1]
    assert request.messages is not None
    card = request.messages[0]["content"]
    assert "You are Mira" in card
    assert "Speak in rhyme." in card
    assert "Bo" in card
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (0.5, 0.9, 7)
    assert sampling.max_tokens == 20
    assert "\n\n" in request.stop


async def test_answers_stream_with_usage(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="character/mira",
        messages=[{"role": "user", "content": "a b c"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text, reasons, used = "", [], None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons.append(choice.finish_reason)
        used = chunk.usage or used
    assert text == "You said: a b c "
    assert reasons[-1] == "stop"
    assert used is not None
    assert used.total_tokens > 100


async def test_plain_completions_answer_and_stream(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(model="scripted:one", prompt="Once")
    assert answer.choices[0].text == "You said: Once "
    stream = await client.completions.create(model="scripted:one", prompt=["Once"], stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "You said: Once "


async def test_errors_are_openais(server: ChatServer, client: AsyncOpenAI) -> None:
    create = client.chat.completions.create
    hi = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.NotFoundError) as missing:
        await create(model="nothing", messages=hi)  # type: ignore[call-overload]
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        await create(model="character/nobody", messages=hi)  # type: ignore[call-overload]
    for wrong in (
        {"messages": []},
        {"messages": [{"role": "user", "content": "a\x00b"}]},
        {"messages": hi, "n": 2},
        {"messages": hi, "temperature": 9},
        {"messages": hi, "max_tokens": 0},
        {"messages": hi, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            await create(model="scripted:one", **wrong)  # type: ignore[call-overload]
        assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.AuthenticationError) as stranger:
        await client.with_options(api_key="wrong").models.list()
    assert stranger.value.code == "invalid_api_key"
    server.models.failure = ProviderUnavailable("the engine is away")
    with pytest.raises(openai.InternalServerError) as away:
        await create(model="scripted:one", messages=hi)  # type: ignore[call-overload]
    assert away.value.status_code == 503
    server.models.failure = RateLimited("later", retry_after=3)
    with pytest.raises(openai.RateLimitError) as limited:
        await create(model="scripted:one", messages=hi, stream=True)  # type: ignore[call-overload]
    assert limited.value.response.headers["retry-after"] == "3"


async def test_an_answer_that_breaks_off_says_so_in_the_stream(
    server: ChatServer, client: AsyncOpenAI
) -> None:
    server.models.failure, server.models.fail_after = UpstreamError("broke"), 2
    stream = await client.chat.completions.create(
        model="scripted:one", messages=[{"role": "user", "content": "a b c"}], stream=True
    )
    pieces: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            pieces.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="broke"):
        await read()
    assert "".join(pieces) == "You said: "


async def test_a_private_character_answers_its_owner_only(
    server: ChatServer, client: AsyncOpenAI
) -> None:
    server.rows.character("secret", visibility="private")
    await client.models.retrieve("character/secret")
    server.rows.api_key("other", server.user().user_id)
    with pytest.raises(openai.NotFoundError):
        await client.with_options(api_key="other").models.retrieve("character/secret")


async def test_a_caller_who_leaves_aborts_the_answer(
    server: ChatServer, client: AsyncOpenAI
) -> None:
    server.models.gate = asyncio.Event()
    stream = await client.chat.completions.create(
        model="scripted:one", messages=[{"role": "user", "content": "a b c"}], stream=True
    )
    await anext(stream)
    await stream.close()
    async with asyncio.timeout(5):
        await server.models.ended.wait()
    assert server.models.aborted == 1


async def test_streams_are_capped(server: ChatServer, client: AsyncOpenAI) -> None:
    server.service.generations.max_streams = 0
    with pytest.raises(openai.InternalServerError) as refused:
        await client.completions.create(model="scripted:one", prompt="Hi")
    assert refused.value.status_code == 503
    assert refused.value.response.headers["retry-after"]


async def test_a_body_that_is_no_json_is_refused(server: ChatServer, client: AsyncOpenAI) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as raw:
        url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
        for body in (b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"model":"a\\ud800"}'):
            answer = await raw.post(url, content=body)
            assert answer.status_code == 400, body[:20]
            assert answer.json()["error"]["type"] == "invalid_request_error"
        answer = await raw.post(url, content=b" " * (5 * 1024 * 1024))
        assert answer.status_code == 413
