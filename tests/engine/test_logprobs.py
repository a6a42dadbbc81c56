"""How likely the model found a token."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.test_engine import request
from troupe.engine.engine import Engine
from troupe.engine.logprobs import TokenLogprob, logprob_of
from troupe.engine.responses import chat_logprobs, completion_logprobs
from troupe.engine.sampler import Sampler, draw
from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Span
from troupe.engine.types import Chunk


@given(
    logits=st.lists(st.integers(-40, 40).map(lambda n: n / 4), min_size=1, max_size=40),
    count=st.integers(0, 20),
    data=st.data(),
)
def test_they_are_logarithms_of_the_softmax(
    logits: list[float], count: int, data: st.DataObject
) -> None:
    token = data.draw(st.integers(0, len(logits) - 1))
    total = sum(math.exp(x) for x in logits)
    told = logprob_of(np.array(logits, np.float32), token, count)
    assert told.token == token
    assert math.isclose(told.logprob, math.log(math.exp(logits[token]) / total), abs_tol=1e-4)
    values = [math.log(math.exp(x) / total) for x in sorted(logits, reverse=True)[:count]]
    assert np.allclose([value for _, value in told.top], values, atol=1e-4)
    assert len({id_ for id_, _ in told.top}) == len(values)
    assert all(math.isclose(logits[i] - logits[token], v - told.logprob, abs_tol=1e-4)
               for i, v in told.top)  # fmt: skip


def test_they_are_the_model_s_whatever_the_sampling_does() -> None:
    logits = np.array([[0.0, 1.0, 2.0, 3.0]], np.float32)
    params = SamplingParams(
        temperature=0.3, top_k=1, logit_bias={0: 50.0}, repetition_penalty=2.0, seed=1
    )
    drawn = draw(logits.copy(), [Sampler(params, [3], logprobs=2)])[0]
    assert drawn.token == 0
    assert drawn.logprob == logprob_of(logits[0], 0, 2)
    assert [id_ for id_, _ in drawn.logprob.top] == [3, 2]
    assert draw(logits, [Sampler(params, [3])])[0].logprob is None


@pytest.mark.parametrize("count", [0, 5, 20])
async def test_every_token_of_an_answer_has_its_own(
    engine: Engine, checkpoint: Path, count: int
) -> None:
    sampling = SamplingParams(temperature=1.0, seed=4)
    asked = request([2, 40, 41], 6, sampling=sampling, logprobs=count)
    chunks: list[Chunk] = [chunk async for chunk in engine.generate(asked)]
    ids = [token for chunk in chunks for token in chunk.token_ids]
    told = [one for chunk in chunks for one in chunk.logprobs]
    assert [one.token for one in told] == ids
    model = choose(engine, checkpoint)
    for place, one in enumerate(told):
        tokens = [2, 40, 41, *ids[:place]]
        assert one == logprob_of(model(tokens), ids[place], count)


def choose(engine: Engine, checkpoint: Path):  # type: ignore[no-untyped-def]
    """The last logits of a sequence, run at once."""
    from troupe.engine.backends import choose as backend_of

    backend = backend_of(engine.options.backend, engine.config)
    model = backend.load(checkpoint, engine.context_length, 1)
    arena = backend.arena(engine.config, 4)
    return lambda tokens: model.step([Span(tokens, 0, [1, 2], True)], arena)[0]


TOLD = [
    TokenLogprob(0, -0.5, ((0, -0.5), (1, -1.5))),
    TokenLogprob(2, -math.inf, ((0, -0.5),)),
    TokenLogprob(9, -1.0),
]
BYTES = [" né".encode(), b"\xe2", b"x"]


def test_a_chat_s_have_openai_s_shape() -> None:
    told = chat_logprobs(TOLD, BYTES)
    first, second, third = told["content"]
    space = {"token": " né", "logprob": -0.5, "bytes": [32, 110, 195, 169]}
    broken = {"token": "\ufffd", "logprob": -1.5, "bytes": [226]}
    assert first == {**space, "top_logprobs": [space, broken]}
    assert second["logprob"] == -9999.0
    assert third == {"token": "", "logprob": -1.0, "bytes": [], "top_logprobs": []}
    assert told["refusal"] is None


def test_a_completion_s_have_openai_s_shape() -> None:
    assert completion_logprobs(TOLD, BYTES, 10) == {
        "tokens": [" né", "x", ""],
        "token_logprobs": [-0.5, -9999.0, -1.0],
        "top_logprobs": [
            {" né": -0.5, "bytes:\\xe2": -1.5},
            {" né": -0.5, "x": -9999.0},
            {"": -1.0},
        ],
        "text_offset": [10, 13, 14],
    }
