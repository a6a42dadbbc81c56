"""An answer that broke off goes on in another engine as if nothing had happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.engine.conftest import tiny_tokenizer
from tests.support.serving import serving
from troupe.engine.engine import Engine
from troupe.engine.errors import InvalidRequest
from troupe.engine.sampling import SamplingParams
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.types import Chunk, EngineOptions, GenerateRequest

PROMPT = list(range(20, 60))
WAYS = {
    "greedy": SamplingParams(temperature=0.0),
    "seeded": SamplingParams(temperature=1.3, seed=11),
    "cut": SamplingParams(temperature=1.1, top_p=0.9, top_k=40, min_p=0.01, seed=-5),
    "penalised": SamplingParams(
        temperature=1.0,
        repetition_penalty=1.3,
        presence_penalty=0.6,
        frequency_penalty=0.4,
        seed=7,
    ),
}


@pytest_asyncio.fixture
async def another(checkpoint: Path) -> AsyncIterator[Engine]:
    """A second engine over the same model, which has seen nothing."""
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2 * 2**20, max_sequences=4))
    engine.start()
    await engine.loaded()
    yield engine
    await engine.close()


def asked(resumed: list[int], sampling: SamplingParams, **more: object) -> GenerateRequest:
    values: dict[str, object] = {"max_tokens": 24, "ignore_eos": True, **more}
    values |= {"resumed": len(resumed), "sampling": sampling}
    return GenerateRequest([*PROMPT, *resumed], **values)  # type: ignore[arg-type]


async def chunks(engine: Engine, request: GenerateRequest) -> list[Chunk]:
    return [chunk async for chunk in engine.generate(request)]


def ids(found: list[Chunk]) -> list[int]:
    return [token for chunk in found for token in chunk.token_ids]


def text(found: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in found)


@pytest.mark.parametrize("way", WAYS)
async def test_cut_anywhere_it_says_the_same(engine: Engine, another: Engine, way: str) -> None:
    whole = await chunks(engine, asked([], WAYS[way]))
    assert len(whole) == 24
    for cut in (1, 2, 7, 16, 23):
        rest = await chunks(another, asked(ids(whole[:cut]), WAYS[way]))
        assert ids(whole[:cut]) + ids(rest) == ids(whole)
        assert text(whole[:cut]) + text(rest) == text(whole)
        assert rest[-1].finish_reason == whole[-1].finish_reason


async def test_usage_is_of_the_whole_answer_and_its_rows_are_never_called_cached(
    engine: Engine,
) -> None:
    whole = await chunks(engine, asked([], WAYS["greedy"]))
    rest = await chunks(engine, asked(ids(whole[:20]), WAYS["greedy"]))
    usage = rest[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (len(PROMPT), 24)
    assert usage.cached_tokens == len(PROMPT)  # the engine still had them all, and more


def forced(token_ids: list[int]) -> dict[int, float]:
    """A bias under which no other token is drawn."""
    return dict.fromkeys(token_ids, 100.0)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5, 6, 7])
async def test_a_character_that_was_cut_in_two_is_whole(engine: Engine, cut: int) -> None:
    # Bytes of one character before the cut, and nothing of it said yet.
    smile = [tiny_tokenizer().token_to_id(f"<0x{byte:02X}>") for byte in "😀".encode()]
    before = (smile * 2)[:cut]
    bias = forced([smile[cut % 4]])
    request = asked(before, SamplingParams(temperature=0.0, logit_bias=bias), max_tokens=cut + 1)
    rest = await chunks(engine, request)
    # Three bytes were held back: the fourth makes the character. Fewer stay broken at the end.
    assert text(rest) == ("😀" if cut % 4 == 3 else "\ufffd")


async def test_a_stop_string_across_the_cut_ends_it_and_is_not_said(engine: Engine) -> None:
    letters = [tiny_tokenizer().token_to_id(letter) for letter in "abcd"]
    sampling = SamplingParams(temperature=0.0, logit_bias=forced([letters[3]]))
    rest = await chunks(engine, asked(letters[:3], sampling, stop=("bcd",)))
    assert text(rest) == ""
    assert rest[-1].finish_reason == "stop"
    assert rest[-1].usage is not None
    assert rest[-1].usage.completion_tokens == 4
    # And what only looked like one is said after all.
    other = await chunks(engine, asked(letters[:3], sampling, stop=("bce",), max_tokens=4))
    assert text(other) == "bcd"


@pytest.mark.parametrize(
    ("resumed", "more", "why"),
    [
        ([30, 1], {"ignore_eos": False}, "ended"),
        ([30] * 24, {}, "has ended"),
        ([264, 265], {"stop": (tiny_tokenizer().decode([264]),)}, "ended"),
    ],
)
async def test_what_has_ended_is_not_resumed(
    engine: Engine, resumed: list[int], more: dict[str, object], why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why) as raised:
        await chunks(engine, asked(resumed, WAYS["greedy"], **more))
    assert raised.value.param == "resume_token_ids"
    await engine.drained()
    engine.check_memory()


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
async def test_over_http_both_endpoints_resume(checkpoint: Path, path: str) -> None:
    app = create_app(EngineServerOptions(checkpoint, engine=EngineOptions(kv_bytes=2 * 2**20)))
    async with serving(app) as port:
        await app.state.engine.loaded()
        body: dict[str, object] = {
            "max_tokens": 12,
            "temperature": 1.2,
            "seed": 3,
            "ignore_eos": True,
            "return_token_ids": "answer",
        }
        if path == "/v1/completions":
            body["prompt"] = PROMPT
        else:
            body["messages"] = [{"role": "user", "content": "hello the"}]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            whole = (await client.post(path, json=body)).json()["choices"][0]
            assert "prompt_token_ids" not in whole
            body["resume_token_ids"] = whole["token_ids"][:5]
            rest = (await client.post(path, json=body)).json()
            refused = await client.post(path, json={**body, "resume_token_ids": [99999]})
    assert rest["choices"][0]["token_ids"] == whole["token_ids"][5:]
    assert rest["usage"]["completion_tokens"] == 12
    assert refused.status_code == 400
