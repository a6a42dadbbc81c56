"""Several answers to one prompt."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.test_engine import answer, request, settled
from tests.engine.test_engine_memory import logits_without_memory
from troupe.engine.engine import Engine
from troupe.engine.errors import InvalidRequest
from troupe.engine.logprobs import TokenLogprob, logprob_of
from troupe.engine.native.model import NativeModel
from troupe.engine.sampling import SamplingParams
from troupe.engine.types import Chunk, GenerateRequest

HOT = SamplingParams(temperature=1.5, seed=8)


async def candidates(engine: Engine, asked: GenerateRequest) -> tuple[list[list[int]], Chunk]:
    """Each one's token ids, and the last chunk."""
    ids: list[list[int]] = [[] for _ in range(asked.n)]
    reasons: list[str | None] = [None] * asked.n
    chunk = None
    async for chunk in engine.generate(asked):
        assert reasons[chunk.index] is None, "a chunk after a candidate's last"
        assert (chunk.usage is None) == (None in [*reasons[: chunk.index],
                                                 chunk.finish_reason,
                                                 *reasons[chunk.index + 1 :]])  # fmt: skip
        ids[chunk.index] += chunk.token_ids
        reasons[chunk.index] = chunk.finish_reason
    assert chunk is not None
    return ids, chunk


@pytest.mark.parametrize("n", [2, 5, 16])
async def test_they_differ_and_the_first_is_the_answer_to_a_single_request(
    engine: Engine, n: int
) -> None:
    prompt = list(range(20, 90))
    alone, _, _ = await answer(engine, request(prompt, 10, sampling=HOT))
    ids, _ = await candidates(engine, request(prompt, 10, sampling=HOT, n=n))
    assert ids[0] == alone
    assert len({tuple(one) for one in ids}) == n
    again, _ = await candidates(engine, request(prompt, 10, sampling=HOT, n=n, cache_salt="b"))
    assert again == ids
    await settled(engine)


@pytest.mark.parametrize("length", [64, 65, 70, 79, 5])
async def test_the_prompt_is_run_once_and_counted_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    rows: list[int] = []
    step = NativeModel.step

    def spy(self: NativeModel, spans, arena):  # type: ignore[no-untyped-def]
        rows.extend(span.start + i for span in spans for i in range(len(span.tokens)))
        return step(self, spans, arena)

    monkeypatch.setattr(NativeModel, "step", spy)
    prompt = list(range(20, 20 + length))
    _, last = await candidates(engine, request(prompt, 6, sampling=HOT, n=4))
    assert [rows.count(position) for position in range(length)] == [1] * length
    assert [rows.count(position) for position in range(length, length + 5)] == [4] * 5
    assert last.usage is not None
    assert last.usage.prompt_tokens == length
    assert last.usage.cached_tokens == 0
    assert last.usage.completion_tokens == 24
    await settled(engine)


@pytest.mark.parametrize("length", [64, 70, 79])
async def test_a_candidate_is_the_answer_that_its_tokens_would_get_alone(
    engine: Engine, checkpoint: Path, length: int
) -> None:
    prompt = list(range(20, 20 + length))
    ids, _ = await candidates(engine, request(prompt, 8, sampling=HOT, n=3, logprobs=3))
    told: list[TokenLogprob] = []
    async for chunk in engine.generate(
        request(prompt, 8, sampling=HOT, n=3, logprobs=3, cache_salt="again")
    ):
        if chunk.index == 2:
            told += chunk.logprobs
    rows = logits_without_memory(engine, checkpoint, prompt, ids[2])
    expected = [logprob_of(row, token, 3) for row, token in zip(rows, ids[2], strict=True)]
    assert told == expected


async def test_candidates_that_end_at_their_first_token_are_whole_answers(engine: Engine) -> None:
    ids, last = await candidates(engine, request([2, 30], 1, sampling=HOT, n=7))
    assert all(len(one) == 1 for one in ids)
    assert last.finish_reason == "length"
    await settled(engine)


async def test_leaving_ends_them_all(engine: Engine) -> None:
    for wait in (0, 1, 9):
        stream = engine.generate(request(list(range(10, 40)), 200, sampling=HOT, n=9))
        for _ in range(wait):
            await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stream.aclose()  # type: ignore[attr-defined]
        await settled(engine)


async def test_two_requests_with_candidates_do_not_mix(engine: Engine) -> None:
    asked = [request(list(range(s, s + 33)), 8, sampling=HOT, n=6) for s in (20, 100)]
    alone = [(await candidates(engine, one))[0] for one in asked]
    both = await asyncio.gather(*(candidates(engine, one) for one in asked))
    assert [ids for ids, _ in both] == alone
    await settled(engine)


async def test_their_number_has_a_limit(engine: Engine) -> None:
    for n in (0, 17):
        with pytest.raises(InvalidRequest) as refused:
            await candidates(engine, request([2], n=n))
        assert refused.value.param == "n"
