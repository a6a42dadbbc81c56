"""How a token is drawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.engine.errors import CheckpointError
from troupe.engine.sampling import Sampler, SamplingParams, cut, softmax

LOGITS = np.array([0.0, 1.0, 2.0, 3.0, -1.0], np.float32)


def draws(params: SamplingParams, prompt: tuple[int, ...] = (), count: int = 1) -> list[int]:
    sampler = Sampler(params, prompt)
    return [sampler.draw(LOGITS) for _ in range(count)]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draws(SamplingParams(temperature=0.0), count=3) == [3, 3, 3]
    assert draws(SamplingParams(temperature=1e-300), count=3) == [3, 3, 3]


def test_a_seed_repeats_its_draws() -> None:
    one = draws(SamplingParams(seed=5, temperature=2.0), count=50)
    assert one == draws(SamplingParams(seed=5, temperature=2.0), count=50)
    assert one != draws(SamplingParams(seed=6, temperature=2.0), count=50)


def test_without_a_seed_draws_differ() -> None:
    hot = SamplingParams(temperature=50.0)
    assert draws(hot, count=60) != draws(hot, count=60)


def test_draws_follow_the_probabilities() -> None:
    counts = Counter(draws(SamplingParams(seed=1), count=4000))
    for token, probability in enumerate(softmax(LOGITS).tolist()):
        assert abs(counts[token] / 4000 - probability) < 0.03


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_draw_nothing(temperature: float) -> None:
    sampler = Sampler(SamplingParams(temperature=temperature), ())
    with pytest.raises(ValueError, match="no numbers"):
        sampler.draw(np.array([0.0, np.nan, 1.0], np.float32))


def test_top_k_keeps_the_k_likeliest() -> None:
    assert cut(LOGITS, SamplingParams(top_k=2)).nonzero()[0].tolist() == [2, 3]
    kept = cut(LOGITS, SamplingParams(top_k=2, top_p=0.999)).nonzero()[0].tolist()
    assert kept == [2, 3]


def test_top_p_keeps_the_least_set_that_reaches_it() -> None:
    assert cut(LOGITS, SamplingParams(top_p=0.5)).nonzero()[0].tolist() == [3]
    assert cut(LOGITS, SamplingParams(top_p=0.7)).nonzero()[0].tolist() == [2, 3]


def test_min_p_is_relative_to_the_likeliest() -> None:
    assert cut(LOGITS, SamplingParams(min_p=0.3)).nonzero()[0].tolist() == [2, 3]


@given(
    logits=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40),
    top_k=st.integers(-1, 50),
    top_p=st.floats(0.01, 1.0),
    min_p=st.floats(0.0, 1.0),
)
def test_whatever_is_cut_a_distribution_remains(
    logits: list[float], top_k: int, top_p: float, min_p: float
) -> None:
    row = np.array(logits, np.float32)
    left = cut(row, SamplingParams(top_k=top_k, top_p=top_p, min_p=min_p))
    assert np.isfinite(left).all()
    assert abs(float(left.sum()) - 1.0) < 1e-4
    assert row[left > 0].max() == row.max()  # one of the likeliest, where several are


def test_bias_and_penalties_change_the_choice_and_not_the_logits() -> None:
    before = LOGITS.copy()
    greedy = {"temperature": 0.0}
    assert draws(SamplingParams(**greedy, logit_bias={4: 10.0})) == [4]
    assert draws(SamplingParams(**greedy, repetition_penalty=2.0), prompt=(3,)) == [2]
    assert draws(SamplingParams(**greedy, presence_penalty=1.5), count=3) == [3, 2, 3]
    assert draws(SamplingParams(**greedy, frequency_penalty=1.1), count=4) == [3, 2, 3, 1]
    assert (before == LOGITS).all()


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
