"""Troupe's own engine behind the gateway: a real server with a tiny model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.engine.conftest import write_checkpoint
from tests.support.serving import serving
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.types import EngineOptions
from troupe.gateway import Gateway
from troupe.gateway.configured import OWN_ENGINE
from troupe.gateway.errors import ContextTooLong
from troupe.gateway.providers import TroupeProvider
from troupe.gateway.types import Delta, Finish, GenerationRequest, Sampling
from troupe.prompt import ChatFormat, ChatMessage, Conversation, Template

TEMPLATE = Template.parse(
    "- name: card\n  role: system\n  content: You are Bo. You row.\n"
    "{% for m in history %}\n- name: m\n  role: {{ m.role }}\n  truncation_priority: 1\n"
    "  content: '{{ m.text }}'\n{% endfor %}\n- name: answer\n  role: char\n  content: B\n"
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("gateway") / "tiny")


@pytest.fixture
async def address(folder: Path) -> AsyncIterator[str]:
    options = EngineServerOptions(folder, engine=EngineOptions(kv_bytes=2 * 2**20, max_sequences=2))
    async with serving(create_app(options)) as port:
        yield f"http://127.0.0.1:{port}"


async def ready(gateway: Gateway) -> None:
    while not (await gateway.models())[0].ready:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def request(model: str, ids: list[int], conversation: str = "chat-1", tokens: int = 8):
    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    return GenerationRequest(model, conversation, sampling, token_ids=ids)


async def answer(gateway: Gateway, asked: GenerationRequest) -> tuple[str, Finish]:
    text = ""
    async with aclosing(gateway.stream(asked)) as stream:
        async for event in stream:
            if isinstance(event, Finish):
                return text, event
            text += event.text
    raise AssertionError("no end")


async def test_each_turn_costs_its_new_tokens_only(address: str, folder: Path):
    gateway = Gateway([TroupeProvider(address, folder)])
    await ready(gateway)
    model = await gateway.resolve(None)
    assert (model.id, model.provider, model.chat_format) == ("tiny", "troupe", ChatFormat.TOKENS)
    assert model.context_length == 256
    conversation = Conversation(TEMPLATE, model.tokenizer, model.chat_format)
    cached = []
    for turn in range(3):
        conversation.append(ChatMessage(str(turn), "user", "Ada", f"line {turn}, you know"))
        prompt = conversation.compile({}, 200)
        assert prompt.token_ids is not None
        _, finish = await answer(gateway, request(model.id, prompt.token_ids))
        assert finish.usage.prompt_tokens == prompt.tokens
        assert finish.reason in ("stop", "length")
        cached.append(finish.usage.cached_tokens)
    common = len(conversation.compile({}, 200).token_ids or ()) - 40
    assert cached[0] == 0
    assert cached[2] > cached[1] > 0
    assert cached[2] > common / 2
    await gateway.close()


async def test_another_conversation_shares_nothing(address: str):
    gateway = Gateway([TroupeProvider(address)])
    await ready(gateway)
    ids = [2, *range(20, 60)]
    await answer(gateway, request("tiny", ids))
    _, again = await answer(gateway, request("tiny", ids))
    _, other = await answer(gateway, request("tiny", ids, conversation="chat-2" * 99))
    assert again.usage.cached_tokens == len(ids) - 1
    assert other.usage.cached_tokens == 0
    await gateway.close()


async def test_a_model_of_another_format_answers_by_its_own_template(address: str):
    gateway = Gateway([TroupeProvider(address)])
    await ready(gateway)
    messages = [{"role": "user", "content": "hello"}]
    asked = GenerationRequest("tiny", "c", Sampling(max_tokens=4), messages=messages)
    _, finish = await answer(gateway, asked)
    assert finish.usage.prompt_tokens > 5
    await gateway.close()


async def test_a_prompt_over_the_context_is_said_so(address: str):
    gateway = Gateway([TroupeProvider(address)])
    await ready(gateway)
    with pytest.raises(ContextTooLong, match="256"):
        await answer(gateway, request("tiny", [20] * 300))
    await gateway.close()


async def test_closing_the_iterator_frees_the_engine(address: str):
    gateway = Gateway([TroupeProvider(address)])
    await ready(gateway)
    stream = gateway.stream(request("tiny", [2, 30, 31], tokens=200))
    assert isinstance(await anext(stream), Delta | Finish)
    await stream.aclose()
    for _ in range(3):  # more than the engine works on at a time
        await answer(gateway, request("tiny", [2, 30, 31]))
    await gateway.close()


async def test_while_the_engine_starts_its_folder_shows_the_model(folder: Path):
    gateway = Gateway([TroupeProvider("http://127.0.0.1:1", folder)])
    (model,) = await gateway.models()
    assert (model.id, model.ready, model.context_length) == ("tiny", False, 256)
    assert "does not answer" in model.why_not
    assert model.tokenizer.special("<|end|>") == 7
    await gateway.close()


async def test_an_answer_waits_for_an_engine_that_is_coming_back(folder: Path):
    options = EngineServerOptions(folder, engine=EngineOptions(kv_bytes=2 * 2**20))
    async with serving(create_app(options)) as port:
        gateway = Gateway(
            [TroupeProvider(f"http://127.0.0.1:{port}", folder)], policies={"troupe": OWN_ENGINE}
        )
        await ready(gateway)
    asking = asyncio.create_task(answer(gateway, request("tiny", [2, 30, 31])))
    await asyncio.sleep(0.3)
    assert not asking.done()
    async with serving(create_app(options), port):
        _, finish = await asking
        assert finish.usage.prompt_tokens == 3
        await gateway.close()


async def test_without_engine_or_folder_there_is_no_model(tmp_path: Path):
    gateway = Gateway([TroupeProvider("http://127.0.0.1:1", tmp_path)])
    assert await gateway.models() == []
    await gateway.close()
