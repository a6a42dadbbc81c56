"""Penalties on what was said already: repetition, presence, frequency, and DRY.

Kept up token by token and never built anew, so that a draw's cost does not grow with work done
before. One object a sequence; called by `sampler.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Floats

LONGEST_REPEAT = 64  # tokens of a repeat that DRY tells apart
_STRONGEST = 1e9  # a penalty; more would leave float32


class Seen:
    """Which tokens a sequence holds, and what each of them costs."""

    def __init__(self, params: SamplingParams, prompt: Sequence[int]) -> None:
        self._params = params
        self._place: dict[int, int] = {}
        self._ids = np.empty(64, np.int64)
        self._counts = np.zeros(64, np.int64)  # in the answer
        self._costs = np.zeros(64, np.float32)  # of presence and frequency
        if params.repetition_penalty != 1.0:
            for token in prompt:
                self._put(token)

    def add(self, token: int) -> None:
        """Count a token of the answer."""
        params = self._params
        place = self._put(token)
        self._counts[place] += 1
        costs = params.presence_penalty + params.frequency_penalty * self._counts[place]
        self._costs[place] = costs

    def apply(self, logits_V: Floats) -> None:
        """Repetition over prompt and answer (Keskar et al. 2019), then presence and frequency over
        the answer (as OpenAI's), in place."""
        count = len(self._place)
        ids, rate = self._ids[:count], np.float32(self._params.repetition_penalty)
        picked: Floats = logits_V[ids]
        if rate != 1.0:
            picked = np.asarray(np.maximum(picked, 0) / rate + np.minimum(picked, 0) * rate)
        logits_V[ids] = picked - self._costs[:count]

    def _put(self, token: int) -> int:
        place = self._place.setdefault(token, len(self._place))
        if place == len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty(place, np.int64)])
            self._counts = np.concatenate([self._counts, np.zeros(place, np.int64)])
            self._costs = np.concatenate([self._costs, np.zeros(place, np.float32)])
        self._ids[place] = token
        return place


class Repeats:
    """DRY (p-e-w's sampler, as in text-generation-webui and llama.cpp): a token that would make a
    repeat of the sequence longer costs `multiplier * base ** (length - allowed_length)`.

    For each earlier position, `_lengths` holds how many tokens up to there equal the sequence's
    last ones. A new token makes the next lengths out of these.
    """

    def __init__(
        self, params: SamplingParams, prompt: Sequence[int], breakers: frozenset[int]
    ) -> None:
        """`breakers`: tokens that no repeat crosses."""
        self._params, self._breakers = params, breakers
        self._count = len(prompt)
        self._tokens = np.zeros(self._count + 256, np.int64)
        self._tokens[: self._count] = prompt
        self._lengths = self._first_lengths()

    def add(self, token: int) -> None:
        """Take the sequence's next token."""
        count = self._count
        if count == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros(count, np.int64)])
        self._tokens[count] = token
        self._count = count + 1
        if token in self._breakers:
            self._lengths = np.zeros(count, np.int64)
            return
        longer = np.ones(count, np.int64)
        longer[1:] += self._lengths
        self._lengths = np.minimum(longer, LONGEST_REPEAT) * (self._tokens[:count] == token)

    def apply(self, logits_V: Floats) -> None:
        """Take the penalties off the logits, in place."""
        params = self._params
        ends = (self._lengths >= params.dry_allowed_length).nonzero()[0]
        if not ends.size:
            return
        over = (self._lengths[ends] - params.dry_allowed_length).astype(np.float64)
        with np.errstate(over="ignore"):
            costs = np.minimum(params.dry_multiplier * params.dry_base**over, _STRONGEST)
        total = np.zeros(logits_V.shape[0], np.float32)
        np.maximum.at(total, self._tokens[ends + 1], costs.astype(np.float32))
        logits_V -= total

    def _first_lengths(self) -> NDArray[np.int64]:
        """For each position but the last of the prompt."""
        tokens = self._tokens[: self._count]
        lengths = np.zeros(max(self._count - 1, 0), np.int64)
        ends = np.arange(len(lengths))
        for back in range(min(LONGEST_REPEAT, len(lengths))):
            token = int(tokens[-1 - back])
            if token in self._breakers:
                break
            ends = ends[ends >= back]
            ends = ends[tokens[ends - back] == token]
            if not ends.size:
                break
            lengths[ends] = back + 1
        return lengths
