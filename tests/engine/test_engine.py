"""The engine as a library: answers, memory between turns, limits, cancellation, failure."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.shapes import tiny_config
from troupe.engine import worker
from troupe.engine.backends import Name
from troupe.engine.engine import Engine
from troupe.engine.errors import (
    CheckpointError,
    EngineError,
    EngineStopped,
    InvalidRequest,
    Overloaded,
)
from troupe.engine.generation import Generation
from troupe.engine.kv import KVCache
from troupe.engine.native.model import NativeModel
from troupe.engine.ref import Model
from troupe.engine.sampling import SamplingParams
from troupe.engine.scheduler import Dial
from troupe.engine.types import Chunk, EngineOptions, GenerateRequest

GREEDY = SamplingParams(temperature=0.0)


async def answer(engine: Engine, request: GenerateRequest) -> tuple[list[int], str, Chunk]:
    """Token ids, text and the last chunk."""
    chunks = [chunk async for chunk in engine.generate(request)]
    ids = [token for chunk in chunks for token in chunk.token_ids]
    assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    return ids, "".join(chunk.text for chunk in chunks), chunks[-1]


def request(prompt: list[int], max_tokens: int = 8, **more: object) -> GenerateRequest:
    values: dict[str, object] = {"sampling": GREEDY, "ignore_eos": True, **more}
    return GenerateRequest(prompt, max_tokens, **values)  # type: ignore[arg-type]


async def settled(engine: Engine) -> None:
    """Wait until nothing runs, then check that no page is lost and no lock left."""
    await engine.drained()
    engine.check_memory()


@pytest.mark.parametrize(("backend", "close"), [("eager", 1e-4), ("native", 0.1)])
async def test_a_greedy_answer_is_the_reference_s(
    checkpoint: Path, backend: Name, close: float
) -> None:
    reference = Model.load(checkpoint)
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2**20, backend=backend))
    engine.start()
    tokens = [2, 40, 41, 300, 17]
    ids, _, last = await answer(engine, request(tokens, 12))
    assert last.finish_reason == "length"
    with torch.no_grad():
        for token in ids:
            row = reference(torch.tensor([tokens]))[0, -1]
            assert row[token] >= row.max() - close * row.std()
            tokens = [*tokens, token]
    await engine.close()


async def test_the_next_turn_runs_only_its_new_tokens(engine: Engine) -> None:
    prompt = list(range(20, 70))
    ids, _, first = await answer(engine, request(prompt))
    assert first.usage is not None
    assert first.usage.cached_tokens == 0
    grown = [*prompt, *ids, 5, 6, 7]
    _, _, second = await answer(engine, request(grown))
    assert second.usage is not None
    # The last token drawn was never run, so its keys and values are not there.
    assert second.usage.cached_tokens == len(prompt) + len(ids) - 1
    assert second.usage.prompt_tokens == len(grown)


async def test_a_changed_user_message_matches_exactly_up_to_the_change(engine: Engine) -> None:
    prompt = list(range(20, 90))
    await answer(engine, request(prompt))
    edited = [*prompt[:37], 9, *prompt[38:]]
    _, _, last = await answer(engine, request(edited))
    assert last.usage is not None
    assert last.usage.cached_tokens == 37


async def test_another_tenant_s_memory_is_not_used(engine: Engine) -> None:
    prompt = list(range(20, 60))
    await answer(engine, request(prompt, cache_salt="a"))
    _, _, last = await answer(engine, request(prompt, cache_salt="b"))
    assert last.usage is not None
    assert last.usage.cached_tokens == 0


async def test_answers_are_the_same_alone_and_in_company(engine: Engine, checkpoint: Path) -> None:
    rng = random.Random(4)
    prompts = [[rng.randrange(400) for _ in range(rng.randrange(1, 120))] for _ in range(9)]
    sampling = SamplingParams(temperature=0.9, top_k=50, top_p=0.95, seed=11)
    requests = [request(prompt, 10, sampling=sampling) for prompt in prompts]
    together = await asyncio.gather(*(answer(engine, r) for r in requests))
    again = [await answer(engine, r) for r in requests]  # now from memory
    fresh = Engine(checkpoint, EngineOptions(kv_bytes=2**20, max_sequences=1, step_tokens=5))
    fresh.start()
    alone = [await answer(fresh, r) for r in requests]
    await fresh.close()
    assert [ids for ids, _, _ in together] == [ids for ids, _, _ in alone]
    assert [ids for ids, _, _ in again] == [ids for ids, _, _ in alone]
    for prompt, (_, _, last) in zip(prompts, again, strict=True):
        assert last.usage is not None
        assert last.usage.cached_tokens == len(prompt) - 1
    await settled(engine)


async def test_end_tokens_and_stop_ids_end_an_answer(engine: Engine) -> None:
    prompt = [2, 30, 31]
    ids, _, _ = await answer(engine, request(prompt, 8))
    stop = ids[3]
    cut, _, last = await answer(engine, request(prompt, 8, stop_token_ids=(stop,)))
    assert cut == ids[: ids.index(stop) + 1]
    assert last.finish_reason == "stop"
    sampling = SamplingParams(temperature=0.0, logit_bias={7: 100.0})
    cut, text, last = await answer(engine, GenerateRequest(prompt, 8, sampling=sampling))
    assert (cut, text, last.finish_reason) == ([7], "", "stop")


async def test_a_stop_string_is_cut_across_tokens(engine: Engine) -> None:
    spelled = engine.vocabulary.tokenizer.encode("hello you there").ids
    pushed = [100.0] * len(spelled)
    assert len(set(spelled[:5])) >= 4
    bias = dict(zip(spelled, pushed, strict=True))
    sampling = SamplingParams(temperature=0.0, logit_bias=bias)
    _, text, _ = await answer(engine, request([2, 30], 40, sampling=sampling))
    stop = text[7:10]
    _, cut, last = await answer(engine, request([2, 30], 40, sampling=sampling, stop=(stop,)))
    assert cut == text[: text.index(stop)]
    assert last.finish_reason == "stop"


async def test_an_abandoned_answer_stops_computing_and_is_kept(engine: Engine) -> None:
    prompt = list(range(10, 40))
    stream = engine.generate(request(prompt, 200))
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    await settled(engine)
    _, _, last = await answer(engine, request([*prompt, 5]))
    assert last.usage is not None
    assert last.usage.cached_tokens == len(prompt)


async def test_a_full_queue_refuses_and_says_when_to_come_back(checkpoint: Path) -> None:
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2**20, max_sequences=1, max_waiting=2))
    tasks = [asyncio.create_task(answer(engine, request([2, i], 4))) for i in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:  # not started: nothing has left the queue
        await answer(engine, request([2], 4))
    assert refused.value.retry_after_s >= 1
    engine.start()
    assert len(await asyncio.gather(*tasks)) == 2
    await engine.close()


async def test_a_failing_step_ends_its_own_answers_only(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(NativeModel, "step", fail)
        with pytest.raises(EngineStopped, match="no room"):
            await answer(engine, request([2, 3]))
    ids, _, _ = await answer(engine, request([2, 3]))
    assert len(ids) == 8
    await settled(engine)


async def test_logits_that_are_no_numbers_fail_their_own_answer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(NativeModel, "step", lambda *_: np.full((1, 512), np.nan, np.float32))
        with pytest.raises(EngineStopped, match="could not be drawn"):
            await answer(engine, request([2, 3], sampling=SamplingParams()))
    ids, _, _ = await answer(engine, request([2, 3]))
    assert len(ids) == 8
    await settled(engine)


async def test_closing_ends_what_runs_with_an_error(checkpoint: Path) -> None:
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2**20))
    engine.start()
    stream = engine.generate(request([2], 200))
    await anext(stream)
    await engine.close()
    with pytest.raises(EngineStopped, match="shutting down"):
        async for _ in stream:
            pass
    with pytest.raises(EngineStopped):
        await answer(engine, request([2]))


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [512]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [1] * 256}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ("",)}, "stop"),
        ({"stop": ("x",) * 17}, "stop"),
        ({"stop_token_ids": (512,)}, "stop_token_ids"),
        ({"cache_salt": "x" * 257}, "cache_salt"),
        ({"sampling": SamplingParams(temperature=-1.0)}, "temperature"),
        ({"sampling": SamplingParams(temperature=float("nan"))}, "temperature"),
        ({"sampling": SamplingParams(top_p=0.0)}, "top_p"),
        ({"sampling": SamplingParams(logit_bias={600: 1.0})}, "logit_bias"),
        ({"sampling": SamplingParams(seed=2**64)}, "seed"),
    ],
)
async def test_what_could_never_be_served_is_refused(
    engine: Engine, wrong: dict[str, object], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await answer(engine, GenerateRequest(**{"prompt": [2], **wrong}))  # type: ignore[arg-type]
    assert refused.value.param == param


def test_options_that_make_no_sense_are_refused(checkpoint: Path) -> None:
    with pytest.raises(EngineError, match="kv_bytes"):
        Engine(checkpoint, EngineOptions(kv_bytes=1000))
    with pytest.raises(EngineError, match="context_length"):
        Engine(checkpoint, EngineOptions(context_length=10_000))
    with pytest.raises(EngineError, match="max_sequences"):
        Engine(checkpoint, EngineOptions(max_sequences=0))
    with pytest.raises(EngineError, match="kv_dir"):
        Engine(checkpoint, EngineOptions(disk_kv_bytes=2**20))
    with pytest.raises(EngineError, match="host_kv_bytes"):
        Engine(checkpoint, EngineOptions(host_kv_bytes=-1))


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    tiny_config().save(tmp_path)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        Engine(tmp_path)


async def test_missing_weights_are_reported_by_the_state(tmp_path: Path, checkpoint: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    engine = Engine(tmp_path, EngineOptions(kv_bytes=2**20))
    engine.start()
    with pytest.raises(EngineStopped, match="safetensors"):
        await engine.loaded()
    assert engine.state == "failed"
    await engine.close()


async def test_prompts_that_begin_alike_are_computed_once(checkpoint: Path) -> None:
    options = EngineOptions(kv_bytes=2**20, max_sequences=8, step_tokens=16)
    engine = Engine(checkpoint, options)
    shared = list(range(20, 150))
    prompts = [[*shared, 5, i, 6] for i in range(6)]
    tasks = [asyncio.create_task(answer(engine, request(prompt))) for prompt in prompts]
    await asyncio.sleep(0)
    engine.start()
    answers = await asyncio.gather(*tasks)
    cached = sorted(last.usage.cached_tokens for _, _, last in answers if last.usage)
    whole_pages = len(shared) // 16 * 16
    assert cached[0] == 0
    assert all(count >= whole_pages for count in cached[1:])
    await settled(engine)
    fresh = Engine(checkpoint, EngineOptions(kv_bytes=2**20, max_sequences=1))
    fresh.start()
    assert [ids for ids, _, _ in answers] == [
        (await answer(fresh, request(prompt)))[0] for prompt in prompts
    ]
    await fresh.close()
    await engine.close()


async def test_who_waits_for_a_prompt_that_is_given_up_computes_it(checkpoint: Path) -> None:
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2**20, step_tokens=1))
    prompt, computed = list(range(20, 200)), "troupe_engine_computed_tokens_total"
    first = asyncio.create_task(answer(engine, request(prompt)))
    second = asyncio.create_task(answer(engine, request([*prompt, 9])))
    await asyncio.sleep(0)
    engine.start()
    await engine.loaded()
    value = engine.metrics.registry.get_sample_value
    while not value(computed):  # noqa: ASYNC110
        await asyncio.sleep(0)
    first.cancel()
    ids, _, last = await second
    assert len(ids) == 8
    assert last.usage is not None
    # What the first had run was found, the rest run: every row of the two prompts once, but the
    # last rows, which are run for each.
    assert last.usage.cached_tokens <= len(prompt)
    assert (value(computed) or 0) <= len(prompt) + 2 + 16
    await settled(engine)
    await engine.close()


async def told(engine: Engine, prompt: list[int]) -> list[object]:
    """An answer's tokens, each with the logarithms of twenty probabilities: numbers to which every
    logit of a row contributes."""
    asked = request(prompt, 12, sampling=SamplingParams(temperature=1.0, seed=3), logprobs=20)
    chunks = [chunk async for chunk in engine.generate(asked)]
    return [(chunk.token_ids, chunk.logprobs) for chunk in chunks if chunk.token_ids]


@pytest.mark.parametrize(("backend", "runs"), [("native", (1, 2, 1)), ("eager", (1,))])
async def test_logits_do_not_depend_on_the_schedule_the_company_the_dial_or_the_threads(
    checkpoint: Path, backend: Name, runs: tuple[int, ...]
) -> None:
    """Random schedules: requests come at random moments, some are given up, memory is short, and
    the dial is turned meanwhile. What a token is drawn from is the same, bit for bit, as alone."""
    rng = random.Random(5)
    shared = [rng.randrange(400) for _ in range(60)]
    prompts = [
        [*shared[: rng.randrange(60)], *(rng.randrange(400) for _ in range(rng.randrange(1, 90)))]
        for _ in range(4 * len(runs))
    ]
    alone = Engine(checkpoint, EngineOptions(kv_bytes=2**22, max_sequences=1, backend=backend))
    alone.start()
    expected = [await told(alone, prompt) for prompt in prompts]
    await alone.close()
    for seed, threads in enumerate(runs):
        rng = random.Random(seed)
        options = EngineOptions(
            kv_bytes=2**21, max_sequences=6, threads=threads, backend=backend, context_length=200
        )
        engine = Engine(checkpoint, options)
        engine.start()

        async def later(place: int, wait: float, engine: Engine = engine) -> list[object]:
            await asyncio.sleep(wait)
            return await told(engine, prompts[place])

        async def given_up(place: int, engine: Engine = engine) -> None:
            stream = engine.generate(request(prompts[place], 60))
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]

        async def turning(rng: random.Random = rng, engine: Engine = engine) -> None:
            while True:
                engine.turn(Dial(rng.choice([1, 3, 16, 70, 256])))
                await asyncio.sleep(0.001)

        turner = asyncio.create_task(turning())
        waits = [rng.random() * 0.05 for _ in prompts]
        got = await asyncio.gather(
            *(later(place, wait) for place, wait in enumerate(waits)),
            *(given_up(rng.randrange(len(prompts))) for _ in range(3)),
        )
        turner.cancel()
        assert got[: len(prompts)] == expected
        await settled(engine)
        await engine.close()


async def test_a_dial_has_its_ends(engine: Engine) -> None:
    for wrong in (Dial(0), Dial(10_000), Dial(queue_target_s=-1.0)):
        with pytest.raises(InvalidRequest):
            engine.turn(wrong)
    engine.turn(Dial(7, 1.5))
    assert engine.dial == Dial(7, 1.5)


@pytest.mark.parametrize(
    ("owner", "name", "why"),
    [
        (NativeModel, "step", "the inference step failed"),
        (KVCache, "lease", "the answer could not begin"),
        (Generation, "take", "a token could not be delivered"),
        (worker, "draw", "tokens could not be drawn"),
    ],
)
async def test_out_of_memory_at_any_place_costs_the_answers_there_and_no_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, why: str
) -> None:
    real = getattr(owner, name)
    calls = 0

    def sometimes(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 5 == 0:
            raise MemoryError("no room")
        return real(*given, **named)

    prompts = [[2, i, 30] for i in range(12)]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, sometimes)
        asked = [answer(engine, request(prompt)) for prompt in prompts]
        got = await asyncio.gather(*asked, return_exceptions=True)
        await engine.drained()
    failed = [one for one in got if isinstance(one, BaseException)]
    assert failed
    for one in failed:
        assert isinstance(one, EngineStopped)
        assert str(one) == f"{why}: no room"
    await settled(engine)
    again = [await answer(engine, request(prompt)) for prompt in prompts]
    for before, after in zip(got, again, strict=True):
        if not isinstance(before, BaseException):
            assert before[0] == after[0]
    await settled(engine)


def test_memory_that_cannot_be_had_is_said_at_once(checkpoint: Path) -> None:
    with pytest.raises(EngineError, match="memory for keys and values cannot be had"):
        Engine(checkpoint, EngineOptions(kv_bytes=2**58))
