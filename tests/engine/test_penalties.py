"""Penalties kept up token by token equal those worked out from the whole sequence."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from troupe.engine.penalties import LONGEST_REPEAT, Repeats, Seen
from troupe.engine.sampling import SamplingParams

VOCABULARY = 6
few = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=30)


@given(
    prompt=few,
    answer=few,
    repetition=st.sampled_from([0.5, 1.0, 1.3]),
    presence=st.sampled_from([-0.5, 0.0, 0.5]),
    frequency=st.sampled_from([-0.5, 0.0, 0.25]),
)
def test_repetition_presence_and_frequency(
    prompt: list[int], answer: list[int], repetition: float, presence: float, frequency: float
) -> None:
    params = SamplingParams(
        repetition_penalty=repetition, presence_penalty=presence, frequency_penalty=frequency
    )
    seen = Seen(params, prompt)
    logits = np.array([1.0, -1.0, 2.0, -2.0, 0.0, 3.0], np.float32)
    expected = logits.tolist()
    for token in answer:
        seen.add(token)
    for token in range(VOCABULARY):
        if repetition != 1.0 and token in (*prompt, *answer):
            value = expected[token]
            expected[token] = value / repetition if value > 0 else value * repetition
        if token in answer:
            expected[token] -= presence + frequency * answer.count(token)
    seen.apply(logits)
    assert np.allclose(logits, expected, atol=1e-5)


def test_a_long_answer_of_many_tokens_is_counted() -> None:
    seen = Seen(SamplingParams(presence_penalty=1.0), ())
    for token in range(1000):
        seen.add(token)
    logits = np.zeros(2000, np.float32)
    seen.apply(logits)
    assert (logits[:1000] == -1).all()
    assert (logits[1000:] == 0).all()


def longest_repeats(sequence: list[int], breakers: set[int]) -> dict[int, int]:
    """For each token, how many of the sequence's last tokens stood before it, earlier on."""
    found: dict[int, int] = {}
    for length in range(1, len(sequence)):
        end = sequence[-length:]
        if breakers & set(end):
            break
        for start in range(len(sequence) - length):
            if sequence[start : start + length] == end:
                found[sequence[start + length]] = min(length, LONGEST_REPEAT)
    return found


@given(
    prompt=few,
    answer=st.lists(st.integers(0, VOCABULARY - 1), max_size=30),
    breakers=st.sets(st.integers(0, VOCABULARY - 1), max_size=2),
    allowed=st.integers(1, 4),
)
def test_dry_costs_what_makes_a_repeat_longer(
    prompt: list[int], answer: list[int], breakers: set[int], allowed: int
) -> None:
    params = SamplingParams(dry_multiplier=0.8, dry_base=1.75, dry_allowed_length=allowed)
    repeats = Repeats(params, prompt, frozenset(breakers))
    for token in answer:
        repeats.add(token)
    expected = np.zeros(VOCABULARY)
    for token, length in longest_repeats([*prompt, *answer], breakers).items():
        if length >= allowed:
            expected[token] = -0.8 * 1.75 ** (length - allowed)
    logits = np.zeros(VOCABULARY, np.float32)
    repeats.apply(logits)
    assert np.allclose(logits, expected, rtol=1e-4)


def test_dry_keeps_to_numbers_however_long_a_repeat_is() -> None:
    params = SamplingParams(dry_multiplier=100.0, dry_base=8.0, dry_allowed_length=1)
    repeats = Repeats(params, [3] * 2000, frozenset())
    logits = np.zeros(VOCABULARY, np.float32)
    repeats.apply(logits)
    assert np.isfinite(logits).all()
    assert logits[3] < -1e8
    for _ in range(500):
        repeats.add(3)
    assert len(repeats._lengths) == 2499
