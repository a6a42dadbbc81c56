"""Guessed tokens: when they are asked for, and that nothing but time depends on them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.test_engine import answer, request, settled
from tests.engine.test_engine_memory import logits_without_memory
from troupe.engine.backends import Name, choose
from troupe.engine.config import ModelConfig
from troupe.engine.engine import Engine
from troupe.engine.lookup import GRAM, LONGEST, NEVER, Lookup, Pace
from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Span
from troupe.engine.types import EngineOptions, GenerateRequest, Structure


def test_what_followed_the_last_tokens_before_is_the_guess() -> None:
    lookup = Lookup()
    lookup.chance = 0.99
    tokens = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert lookup.guess(tokens, 0.0, 9) == [4, 5, 6, 1, 2, 3]
    assert lookup.guess(tokens, 0.0, 2) == [4, 5]
    lookup.learn(4)
    assert lookup.guess([*tokens, 4], 0.0, 9) == [5, 6, 1, 2, 3]
    lookup.learn(9)
    assert lookup.guess([*tokens, 4, 9], 0.0, 9) == []


@given(
    tokens=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    more=st.lists(st.integers(0, 3), max_size=20),
)
def test_the_last_place_is_taken(tokens: list[int], more: list[int]) -> None:
    lookup = Lookup()
    lookup.chance = 0.99
    for end in range(len(tokens), len(tokens) + len(more) + 1):
        known = [*tokens, *more][:end]
        lookup._guess = []
        expected: list[int] = []
        for start in range(len(known) - GRAM):
            if known[start : start + GRAM] == known[-GRAM:]:
                expected = known[start + GRAM :][:LONGEST]
        assert lookup.guess(known, 0.0, LONGEST) == expected


def test_guesses_that_are_wrong_end_guessing_and_those_that_would_be_right_begin_it_anew() -> None:
    lookup = Lookup()
    tokens = [1, 2, 3, 4, 1, 2, 3]
    for _ in range(30):
        lookup._guess = []
        lookup.guess(tokens, 0.3, 9)
        lookup.learn(7)
    assert lookup.guess(tokens, 0.3, 9) == []
    for _ in range(30):
        lookup._guess = []
        lookup.guess(tokens, 0.3, 9)
        lookup.learn(4)
    assert lookup.guess(tokens, 0.3, 9) != []


def test_longer_guesses_need_better_chances() -> None:
    tokens = [1, 2, 3, *range(10, 40), 1, 2, 3]
    for chance, count in ((0.6, 1), (0.8, 3), (0.9, 6), (0.4, 0)):
        lookup = Lookup()
        lookup.chance = chance
        assert len(lookup.guess(tokens, 0.5, LONGEST)) == count
    assert lookup.guess(tokens, NEVER, LONGEST) == []


@given(
    base=st.floats(1e-5, 1e-2),
    each=st.floats(1e-6, 1e-2),
    rows=st.lists(st.integers(1, 64), min_size=3, max_size=30),
    at=st.integers(1, 100),
)
def test_the_worth_of_a_row_is_the_share_of_time_that_goes_by_rows(
    base: float, each: float, rows: list[int], at: int
) -> None:
    if max(rows) - min(rows) < 4:
        rows = [*rows, 1, 64]
    pace = Pace()
    for count in rows:
        pace.observe(count, base + each * count)
    assert abs(pace.worth(at) - each * at / (base + each * at)) < 0.02


def test_until_rows_differ_a_row_is_taken_to_cost_half_a_step() -> None:
    pace = Pace()
    assert pace.worth(1) == 0.5
    for _ in range(50):
        pace.observe(1, 0.002)
    assert abs(pace.worth(1) - 0.5) < 1e-6


def repetitive(rng: random.Random) -> list[int]:
    phrase = [rng.randrange(20, 30) for _ in range(rng.randrange(4, 20))]
    return [2, *(phrase * 8)[: rng.randrange(30, 90)]]


WISHES = [
    SamplingParams(temperature=0.0),
    SamplingParams(temperature=0.7, seed=3),
    SamplingParams(temperature=0.5, seed=4, top_p=0.9, repetition_penalty=1.1, xtc_probability=0.2),
]


def requests(rng: random.Random) -> list[GenerateRequest]:
    """Answers that tend to say again what was said, and do not always."""
    asked = []
    for place in range(9):
        prompt = repetitive(rng)
        likely = {token: 14.0 + rng.random() for token in prompt[-12:]}
        asked.append(
            request(
                prompt,
                rng.randrange(1, 60),
                sampling=SamplingParams(
                    **{name: getattr(WISHES[place % 3], name) for name in
                       ("temperature", "top_p", "repetition_penalty", "xtc_probability", "seed")},
                    logit_bias=likely,
                ),
                logprobs=2 if place % 4 == 0 else None,
                structure=Structure("regex", "(?s:.){5,40}") if place == 5 else None,
                n=2 if place == 6 else 1,
            )
        )  # fmt: skip
    return asked


@pytest.mark.parametrize("backend", ["native", "eager"])
async def test_answers_are_the_same_with_guesses_and_without(
    checkpoint: Path, backend: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "worth", lambda *_: 0.01)
    options = {"kv_bytes": 4 * 2**20, "backend": backend}
    plain = Engine(checkpoint, EngineOptions(**options, prompt_lookup=False))  # type: ignore
    guessing = Engine(checkpoint, EngineOptions(**options, step_tokens=40))  # type: ignore
    for engine in (plain, guessing):
        engine.start()
    rng = random.Random(5)
    for asked in requests(rng):
        one = [chunk async for chunk in plain.generate(asked)]
        other = [chunk async for chunk in guessing.generate(asked)]
        for index in range(asked.n):
            told = [
                [(c.token_ids, c.text, c.finish_reason, c.logprobs) for c in chunks
                 if c.index == index]
                for chunks in (one, other)
            ]  # fmt: skip
            assert told[0] == told[1]
        # What the rejected guesses left in memory is not taken for computed.
        ids = [token for chunk in one if chunk.index == 0 for token in chunk.token_ids]
        next_turn = request([*asked.prompt, *ids, 31, 32], 5)
        assert (await answer(plain, next_turn))[0] == (await answer(guessing, next_turn))[0]
        await settled(guessing)
    guessed = guessing.metrics.guessed_tokens._value.get()
    right = guessing.metrics.guessed_right._value.get()
    assert 0 < right < guessed
    assert plain.metrics.guessed_tokens._value.get() == 0
    for engine in (plain, guessing):
        await engine.close()


async def test_logits_behind_guesses_equal_those_of_a_run_by_itself(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pace, "worth", lambda *_: 0.01)
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2**20))
    engine.start()
    prompt = [2, *[20, 21, 22, 23, 24] * 8]
    likely = SamplingParams(temperature=0.0, logit_bias=dict.fromkeys(range(20, 25), 9.0))
    ids, _, _ = await answer(engine, request(prompt, 30, sampling=likely))
    expected = []
    for row in logits_without_memory(engine, checkpoint, prompt, ids):
        row[20:25] += 9.0
        expected.append(int(row.argmax()))
    assert ids == expected
    await engine.close()


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_several_rows_of_a_span_give_their_logits(checkpoint: Path, backend: Name) -> None:
    config = ModelConfig.load(checkpoint)
    chosen = choose(backend, config)
    model = chosen.load(checkpoint, 128, 1)
    tokens, other = list(range(20, 60)), [7, 8, 9]
    arena = chosen.arena(config, 12)
    whole = model.step(
        [Span(tokens, 0, [1, 2, 3], len(tokens)), Span(other, 0, [4], 0), Span([5], 0, [5], 1)],
        arena,
    )
    assert whole.shape[0] == 41
    for end in (1, 17, 40):
        alone = model.step([Span(tokens[:end], 0, [6, 7, 8], 1)], arena)
        assert np.array_equal(whole[end - 1], alone[0])
    model.step([Span(tokens[:30], 0, [9, 10, 11], 0)], arena)
    assert np.array_equal(model.step([Span(tokens[30:], 30, [9, 10, 11], 4)], arena), whole[36:40])
