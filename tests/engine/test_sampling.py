"""How tokens are drawn: each rule against a plain one written here, and rows against themselves."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from troupe.engine.cuts import NO_TOKEN, exclude_top, pick, softmax, weigh
from troupe.engine.errors import CheckpointError, InvalidRequest
from troupe.engine.sampler import Sampler, draw
from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Floats

LOGITS = np.array([0.0, 1.0, 2.0, 3.0, -1.0], np.float32)


def drawn(logits: Floats, samplers: list[Sampler]) -> list[int]:
    return [one.token for one in draw(logits, samplers)]


def draws(params: SamplingParams, prompt: tuple[int, ...] = (), count: int = 1) -> list[int]:
    sampler = Sampler(params, prompt)
    return [drawn(LOGITS[None].copy(), [sampler])[0] for _ in range(count)]


def probabilities(logits: Floats, params: SamplingParams) -> Floats:
    weights = weigh(logits[None], [params])[0]
    return weights / weights.sum()


@dataclass
class Left:
    """What a plain reading of the rules leaves: probabilities by token, and how near a top-p came
    to going the other way."""

    probability: dict[int, float]
    doubt: float = 1.0


def plainly_cut(logits: list[float], params: SamplingParams) -> Left:
    """Temperature; tokens under min-p of the likeliest go; the k likeliest stay; then the fewest
    whose share of what is left reaches top-p. Equals of the last that stays, stay."""
    best = max(logits)
    weights = {i: math.exp((x - best) / params.temperature) for i, x in enumerate(logits)}
    kept = {i: w for i, w in weights.items() if w >= np.float32(params.min_p)}
    if 0 < params.top_k < len(logits):
        kth = sorted(weights.values())[-params.top_k]
        kept = {i: w for i, w in kept.items() if w >= kth}
    doubt = 1.0
    if params.top_p < 1:
        wanted = params.top_p * sum(kept.values())
        reached, least = 0.0, 0.0
        for weight in sorted(kept.values(), reverse=True):
            if reached >= wanted:
                break
            reached, least = reached + weight, weight
        doubt = min(abs(reached - wanted), abs(reached - least - wanted))
        kept = {i: w for i, w in kept.items() if w >= least}
    total = sum(kept.values())
    return Left({i: w / total for i, w in kept.items()}, doubt)


quarters = st.integers(-40, 40).map(lambda n: n / 4)  # apart, or exactly equal
cuts = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    top_k=st.sampled_from([-1, 0, 1, 2, 5, 40, 400]),
    top_p=st.sampled_from([1.0, 0.99, 0.9, 0.51, 0.013]),
    min_p=st.sampled_from([0.0, 0.001, 0.0523, 0.7, 1.0]),
)


@given(logits=st.lists(quarters, min_size=1, max_size=50), params=cuts)
def test_what_the_cuts_leave_is_what_their_rules_say(
    logits: list[float], params: SamplingParams
) -> None:
    left = plainly_cut(logits, params)
    assume(left.doubt > 1e-4)
    got = probabilities(np.array(logits, np.float32), params)
    assert got.nonzero()[0].tolist() == list(left.probability)
    assert np.allclose(got[got > 0], list(left.probability.values()), rtol=1e-4)


@settings(max_examples=30)
@given(
    size=st.sampled_from([255, 256, 257, 1000, 5000, 16_384, 20_011]),
    spread=st.sampled_from([0.01, 1.0, 4.0]),
    seed=st.integers(0, 1000),
    params=cuts,
)
def test_large_vocabularies_are_cut_alike(
    size: int, spread: float, seed: int, params: SamplingParams
) -> None:
    row = (np.random.default_rng(seed).standard_normal(size) * spread).round(2).astype(np.float32)
    left = plainly_cut(row.tolist(), params)
    assume(left.doubt > 1e-3)
    got = probabilities(row, params)
    assert got.nonzero()[0].tolist() == list(left.probability)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([5, 127, 128, 300, 1000, 4096]),
    rows=st.integers(1, 9),
)
def test_a_row_is_drawn_the_same_alone_and_beside_others(seed: int, size: int, rows: int) -> None:
    rng = random.Random(seed)
    logits = np.random.default_rng(seed).standard_normal((rows, size)).astype(np.float32) * 3
    prompts = [[rng.randrange(size) for _ in range(20)] for _ in range(rows)]
    wishes = [
        SamplingParams(
            temperature=rng.choice([0.0, 0.7, 1.0, 1.3]),
            top_k=rng.choice([0, 0, 3, 40]),
            top_p=rng.choice([1.0, 0.5, 0.95]),
            min_p=rng.choice([0.0, 0.05]),
            repetition_penalty=rng.choice([1.0, 1.2]),
            frequency_penalty=rng.choice([0.0, 0.5]),
            dry_multiplier=rng.choice([0.0, 0.8]),
            xtc_probability=rng.choice([0.0, 0.5]),
            logit_bias=rng.choice([{}, {1: 2.0}]),
            seed=rng.randrange(5),
        )
        for _ in range(rows)
    ]
    beside = [Sampler(w, p) for w, p in zip(wishes, prompts, strict=True)]
    alone = [Sampler(w, p) for w, p in zip(wishes, prompts, strict=True)]
    for _ in range(4):
        together = drawn(logits.copy(), beside)
        assert together == [drawn(logits[[r]], [alone[r]])[0] for r in range(rows)]


def test_weights_are_the_same_bit_for_bit_alone_and_beside_others() -> None:
    logits = np.random.default_rng(2).standard_normal((67, 1003)).astype(np.float32) * 4
    wishes = [SamplingParams(temperature=0.5 + r / 50, top_p=0.9, top_k=r) for r in range(67)]
    together = weigh(logits, wishes)
    for r in range(67):
        assert np.array_equal(together[r], weigh(logits[[r]], wishes[r : r + 1])[0])


def chi_square(counts: Counter[int], expected: dict[int, float]) -> float:
    """In deviations of its distribution from its mean (it has a degree less than outcomes)."""
    total = sum(counts.values())
    assert set(counts) <= set(expected)
    squares = [(counts[i] - total * p) ** 2 / (total * p) for i, p in expected.items()]
    degrees = len(expected) - 1
    return (sum(squares) - degrees) / math.sqrt(2 * degrees)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(seed=1),
        SamplingParams(seed=2, temperature=1.7),
        SamplingParams(seed=3, top_k=17),
        SamplingParams(seed=4, top_p=0.8),
        SamplingParams(seed=5, min_p=0.05),
        SamplingParams(seed=6, top_k=30, top_p=0.9, min_p=0.01, temperature=0.8),
    ],
)
def test_draws_follow_the_probabilities(params: SamplingParams) -> None:
    row = np.random.default_rng(0).standard_normal(300).astype(np.float32) * 2
    sampler = Sampler(params, ())
    times = 20_000
    tokens = pick(
        np.repeat(weigh(row[None], [params]), times, axis=0), sampler.generator.random(times)
    )
    expected = plainly_cut(row.tolist(), params).probability
    assert abs(chi_square(Counter(tokens.tolist()), expected)) < 4


def test_a_sampler_draws_what_its_row_s_probabilities_say() -> None:
    counts = Counter(draws(SamplingParams(seed=1), count=4000))
    assert abs(chi_square(counts, dict(enumerate(softmax(LOGITS).tolist())))) < 4


def test_every_token_with_weight_can_be_drawn_and_no_other() -> None:
    weights = np.zeros((1, 1000), np.float32)
    weights[0, [0, 127, 128, 999]] = 0.25
    uniform = np.linspace(0, np.nextafter(1, 0), 101)
    tokens = pick(np.repeat(weights, 101, axis=0), uniform)
    assert sorted(set(tokens.tolist())) == [0, 127, 128, 999]
    assert tokens[0] == 0
    assert tokens[-1] == 999


@given(
    weights=st.lists(st.sampled_from([0.0, 1e-30, 1e-6, 0.3, 1.0]), min_size=1, max_size=300),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_no_token_without_weight_is_drawn(weights: list[float], uniform: float) -> None:
    assume(any(weights))
    token = pick(np.array([weights], np.float32), np.array([uniform]))[0]
    assert weights[token] > 0


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draws(SamplingParams(temperature=0.0), count=3) == [3, 3, 3]
    assert draws(SamplingParams(temperature=1e-300), count=3) == [3, 3, 3]


def test_a_seed_repeats_its_draws() -> None:
    one = draws(SamplingParams(seed=5, temperature=2.0), count=50)
    assert one == draws(SamplingParams(seed=5, temperature=2.0), count=50)
    assert one != draws(SamplingParams(seed=6, temperature=2.0), count=50)
    assert draws(SamplingParams(seed=-1)) == draws(SamplingParams(seed=2**64 - 1))


def test_without_a_seed_draws_differ() -> None:
    hot = SamplingParams(temperature=50.0)
    assert draws(hot, count=60) != draws(hot, count=60)


def test_candidates_of_one_seed_draw_apart_and_each_repeats() -> None:
    params = SamplingParams(seed=5)
    numbers = [
        Sampler(params, (), candidate).generator.random(4).tolist() for candidate in range(8)
    ]
    assert len({tuple(row) for row in numbers}) == 8
    assert numbers[0] == Sampler(params, ()).generator.random(4).tolist()
    assert numbers[3] == Sampler(params, (), 3).generator.random(4).tolist()


@pytest.mark.parametrize("xtc", [0.0, 0.5])
def test_a_resumed_sampler_goes_on_in_its_place(xtc: float) -> None:
    params = SamplingParams(seed=3, temperature=3.0, frequency_penalty=0.3, xtc_probability=xtc)
    whole = draws(params, count=20)
    sampler = Sampler(params, ())
    sampler.resume(whole[:7])
    assert [drawn(LOGITS[None].copy(), [sampler])[0] for _ in range(13)] == whole[7:]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_logits_that_are_no_numbers_draw_nothing_and_spare_their_neighbours(
    temperature: float, wrong: float
) -> None:
    rows = np.array([LOGITS, LOGITS, LOGITS])
    rows[1, 1] = wrong
    samplers = [Sampler(SamplingParams(temperature=temperature, seed=9), ()) for _ in rows]
    first, second, third = drawn(rows, samplers)
    assert second == NO_TOKEN
    assert first == third != NO_TOKEN


def test_nothing_allowed_draws_nothing() -> None:
    rows = np.full((2, 5), -np.inf, np.float32)
    samplers = [Sampler(SamplingParams(temperature=t), ()) for t in (0.0, 1.0)]
    assert drawn(rows, samplers) == [NO_TOKEN, NO_TOKEN]


@given(
    weights=st.lists(st.integers(1, 100), min_size=1, max_size=30),
    threshold=st.sampled_from([0.03, 0.1, 0.21, 0.49]),
)
def test_xtc_leaves_the_least_likely_of_the_likely(weights: list[int], threshold: float) -> None:
    total = sum(weights)
    assume(all(abs(w / total - threshold) > 1e-4 for w in weights))
    top = [w for w in weights if w / total >= threshold]
    expected = [w for w in weights if len(top) < 2 or w / total < threshold or w == min(top)]
    row = np.array(weights, np.float32)
    exclude_top(row, threshold)
    assert row[row > 0].tolist() == expected


def test_xtc_takes_part_as_often_as_it_is_asked_to() -> None:
    likely = {2, 3}  # of LOGITS, at a threshold of 0.2
    wish = {"seed": 1, "xtc_threshold": 0.2}
    assert 3 not in draws(SamplingParams(**wish, xtc_probability=1.0), count=200)
    counts = Counter(draws(SamplingParams(**wish, xtc_probability=0.5), count=4000))
    plain = dict(enumerate(softmax(LOGITS).tolist()))
    without = {i: p / (1 - plain[3]) for i, p in plain.items() if i != 3}
    mixed = {i: 0.5 * p + 0.5 * without.get(i, 0.0) for i, p in plain.items()}
    assert abs(chi_square(counts, mixed)) < 4
    assert likely <= set(counts)


def test_bias_and_penalties_change_the_choice() -> None:
    greedy = {"temperature": 0.0}
    assert draws(SamplingParams(**greedy, logit_bias={4: 10.0})) == [4]
    assert draws(SamplingParams(**greedy, repetition_penalty=2.0), prompt=(3,)) == [2]
    assert draws(SamplingParams(**greedy, presence_penalty=1.5), count=3) == [3, 2, 3]
    assert draws(SamplingParams(**greedy, frequency_penalty=1.1), count=4) == [3, 2, 3, 1]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"dry_multiplier": -1.0}, "dry_multiplier"),
        ({"dry_base": 0.5}, "dry_base"),
        ({"dry_allowed_length": 0}, "dry_allowed_length"),
        ({"dry_sequence_breakers": ("",)}, "dry_sequence_breakers"),
        ({"dry_sequence_breakers": ("x",) * 17}, "dry_sequence_breakers"),
        ({"dry_sequence_breakers": ("x" * 65,)}, "dry_sequence_breakers"),
        ({"xtc_probability": 1.5}, "xtc_probability"),
        ({"xtc_threshold": float("nan")}, "xtc_threshold"),
    ],
)
def test_a_field_out_of_range_is_named(wrong: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        SamplingParams(**wrong).check(100)  # type: ignore[arg-type]
    assert refused.value.param == param


def test_a_model_s_own_defaults_are_read(tmp_path: Path) -> None:
    path = tmp_path / "generation_config.json"
    assert SamplingParams.defaults(tmp_path) == SamplingParams()
    path.write_text(json.dumps({"temperature": 0.7, "top_k": 40, "max_length": 20}))
    assert SamplingParams.defaults(tmp_path) == SamplingParams(temperature=0.7, top_k=40)
    path.write_text(json.dumps({"do_sample": False}))
    assert SamplingParams.defaults(tmp_path).temperature == 0.0
    path.write_text(json.dumps({"temperature": -1}))
    with pytest.raises(CheckpointError, match="temperature"):
        SamplingParams.defaults(tmp_path)
