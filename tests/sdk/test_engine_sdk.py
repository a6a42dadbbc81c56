"""The `openai` Python package against the engine's own server: what only an engine can tell."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

import httpx
import openai
import pytest
import uvicorn
from openai import OpenAI
from pydantic import BaseModel

from tests.engine.conftest import write_checkpoint
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.types import EngineOptions

HELLO = [{"role": "user", "content": "hello you"}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A client of a server in a thread, over a tiny random model named `tiny`."""
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")
    app = create_app(EngineServerOptions(folder, engine=EngineOptions(kv_bytes=2 * 2**20)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        waiting = httpx.HTTPTransport(retries=20)
        with httpx.Client(transport=waiting, timeout=60) as probe:
            while probe.get(base + "/readyz").status_code != 200:
                assert thread.is_alive()
        with OpenAI(base_url=base + "/v1", api_key="none", max_retries=0) as client:
            yield client
        server.should_exit = True
        thread.join()


def test_a_chat_s_logprobs_whole_and_streamed(client: OpenAI) -> None:
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 8, "seed": 3, "temperature": 1.0}
    asked |= {"logprobs": True, "top_logprobs": 4, "extra_body": {"ignore_eos": True}}
    whole = client.chat.completions.create(**asked).choices[0]  # type: ignore[call-overload]
    told = whole.logprobs.content
    assert len(told) == 8
    for one in told:
        assert len(one.top_logprobs) == 4
        assert one.logprob <= one.top_logprobs[0].logprob + 1e-6
        assert bytes(one.bytes).decode("utf-8", "replace") == one.token
    streamed = []
    for chunk in client.chat.completions.create(**asked, stream=True):  # type: ignore[call-overload]
        if chunk.choices[0].logprobs is not None:
            streamed += chunk.choices[0].logprobs.content
    assert streamed == told


def test_a_completion_s_logprobs_whole_and_streamed(client: OpenAI) -> None:
    asked = {"model": "tiny", "prompt": "hello", "max_tokens": 8, "temperature": 0, "logprobs": 3}
    asked |= {"extra_body": {"ignore_eos": True}}
    whole = client.completions.create(**asked).choices[0].logprobs  # type: ignore[call-overload]
    assert len(whole.tokens) == len(whole.token_logprobs) == len(whole.text_offset) == 8
    for token, value, top in zip(
        whole.tokens, whole.token_logprobs, whole.top_logprobs, strict=True
    ):
        assert top[token] == value == max(top.values())
    tokens, offsets = [], []
    for chunk in client.completions.create(**asked, stream=True):  # type: ignore[call-overload]
        if chunk.choices[0].logprobs is not None:
            tokens += chunk.choices[0].logprobs.tokens
            offsets += chunk.choices[0].logprobs.text_offset
    assert tokens == whole.tokens
    assert offsets == whole.text_offset


def test_several_choices_whole_and_streamed(client: OpenAI) -> None:
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 6, "seed": 3, "n": 3}
    asked |= {"temperature": 1.5, "extra_body": {"ignore_eos": True}}
    whole = client.chat.completions.create(**asked)  # type: ignore[call-overload]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    texts = [choice.message.content for choice in whole.choices]
    assert len(set(texts)) == 3
    assert whole.usage.completion_tokens == 18
    single = client.chat.completions.create(**{**asked, "n": 1})  # type: ignore[call-overload]
    assert single.usage.prompt_tokens == whole.usage.prompt_tokens
    assert single.choices[0].message.content == texts[0]
    streamed: defaultdict[int, str] = defaultdict(str)
    reasons = {}
    usage = None
    for chunk in client.chat.completions.create(  # type: ignore[call-overload]
        **asked, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert [streamed[index] for index in range(3)] == texts
    assert reasons == {0: "length", 1: "length", 2: "length"}
    assert usage is not None
    assert usage.completion_tokens == 18


class Mood(BaseModel):
    mood: Literal["glad", "sad"]
    level: Literal[1, 2, 3]


def test_an_answer_in_the_form_of_a_class(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="tiny", messages=HELLO, max_tokens=120, seed=5, response_format=Mood
    )
    mood = answer.choices[0].message.parsed
    assert isinstance(mood, Mood)
    assert answer.choices[0].finish_reason == "stop"


def test_an_answer_in_one_of_vllm_s_forms(client: OpenAI) -> None:
    forms = {"structured_outputs": {"choice": ["left", "right"]}}
    answer = client.completions.create(model="tiny", prompt="x", extra_body=forms)
    assert answer.choices[0].text in ("left", "right")
    with pytest.raises(openai.BadRequestError, match="compiled"):
        client.completions.create(
            model="tiny", prompt="x", extra_body={"structured_outputs": {"regex": "("}}
        )


def test_too_many_are_refused(client: OpenAI) -> None:
    for wrong in ({"n": 17}, {"logprobs": True, "top_logprobs": 21}):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="tiny", messages=HELLO, **wrong)  # type: ignore
        assert refused.value.param in wrong or refused.value.param == "logprobs"
