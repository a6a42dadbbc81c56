"""Draws the next tokens of a step: each sequence's own state, then all rows together.

What differs from sequence to sequence (bias, penalties, a grammar) touches few logits of its row;
temperature, cuts and the draw go through one matrix (`cuts.py`). No row's token depends on another
row. Called by the worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from troupe.engine.cuts import NO_TOKEN, Ints, exclude_top, pick, weigh
from troupe.engine.grammar import Constraint
from troupe.engine.logprobs import TokenLogprob, logprob_of
from troupe.engine.penalties import Repeats, Seen
from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Floats

AT_ONCE = 2**18  # logits worked on together: what stays in a core's cache


class Drawn(NamedTuple):
    """A token, or `NO_TOKEN` where the logits were no numbers; how likely it was, if asked for."""

    token: int
    logprob: TokenLogprob | None = None


class Sampler:
    """What the draws of one sequence need to remember, with a generator of its own."""

    def __init__(
        self,
        params: SamplingParams,
        prompt: Sequence[int],
        candidate: int = 0,
        breakers: frozenset[int] = frozenset(),
        logprobs: int | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        """`candidate`: which of a request's answers this is; each has a generator of its own,
        derived from the seed. `breakers`: the tokens that no repeat crosses (DRY). `logprobs`: tell
        how likely a drawn token and so many of the likeliest are. `constraint`: the form that the
        answer must have."""
        self.params, self.logprobs, self._constraint = params, logprobs, constraint
        self.generator = _generator(params.seed, candidate)
        self._bias_ids = np.array(list(params.logit_bias), np.int64)
        self._bias = np.array(list(params.logit_bias.values()), np.float32)
        self._kept: list[Seen | Repeats] = []  # in the order in which they apply
        rates = (params.repetition_penalty, params.presence_penalty, params.frequency_penalty)
        if rates != (1.0, 0.0, 0.0):
            self._kept.append(Seen(params, prompt))
        if params.dry_multiplier > 0.0:
            self._kept.append(Repeats(params, prompt, breakers))

    def adjust(self, logits_V: Floats) -> None:
        """Bias, penalties and the answer's form, in place."""
        if self._bias_ids.size:
            logits_V[self._bias_ids] += self._bias
        for kept in self._kept:
            kept.apply(logits_V)
        if self._constraint is not None:
            self._constraint.restrict(logits_V)

    def add(self, token: int) -> None:
        """Take the token drawn."""
        for kept in self._kept:
            kept.add(token)
        if self._constraint is not None:
            self._constraint.add(token)

    @property
    def finished(self) -> bool:
        """Whether the answer has its form and nothing may follow."""
        return self._constraint is not None and self._constraint.finished

    @property
    def fault(self) -> str:
        """Why no token can be drawn, where none was."""
        broken = "" if self._constraint is None else self._constraint.fault
        return broken or "the model's logits are no numbers"

    def resume(self, tokens: Sequence[int]) -> None:
        """Stand where a sampler stands that has drawn `tokens`. Each takes the same count of the
        generator's numbers, whichever it is, so a seed goes on in its place."""
        for token in tokens:
            self.add(token)
        if not self.params.greedy:
            numbers = 2 if self.params.xtc_probability > 0.0 else 1
            self.generator.bit_generator.advance(numbers * len(tokens))  # type: ignore[attr-defined]


def draw(logits_RV: Floats, samplers: Sequence[Sampler]) -> list[Drawn]:
    """A token for each row and its sampler, which remembers it. `logits_RV` is written to."""
    tokens = np.empty(len(samplers), np.int64)
    wanted = [row for row, sampler in enumerate(samplers) if sampler.logprobs is not None]
    plain = {row: logits_RV[row].copy() for row in wanted}
    for logits_V, sampler in zip(logits_RV, samplers, strict=True):
        sampler.adjust(logits_V)
    step = max(1, AT_ONCE // logits_RV.shape[1])
    for start in range(0, len(samplers), step):
        some = samplers[start : start + step]
        tokens[start : start + step] = _draw_some(logits_RV[start : start + step], some)
    drawn: list[Drawn] = []
    for row, (token, sampler) in enumerate(zip(tokens.tolist(), samplers, strict=True)):
        if token != NO_TOKEN:
            sampler.add(token)
        told = token != NO_TOKEN and sampler.logprobs is not None
        drawn.append(
            Drawn(token, logprob_of(plain[row], token, sampler.logprobs or 0) if told else None)
        )
    return drawn


def _draw_some(logits_RV: Floats, samplers: Sequence[Sampler]) -> Ints:
    greedy = np.array([sampler.params.greedy for sampler in samplers])
    if greedy.all():
        return _likeliest(logits_RV)
    if not greedy.any():
        return _sampled(logits_RV, samplers)
    tokens = np.empty(len(samplers), np.int64)
    tokens[greedy] = _likeliest(logits_RV[greedy])
    others = [sampler for sampler in samplers if not sampler.params.greedy]
    tokens[~greedy] = _sampled(logits_RV[~greedy], others)
    return tokens


def _likeliest(logits_RV: Floats) -> Ints:
    tokens = logits_RV.argmax(axis=1)
    found = logits_RV[np.arange(len(tokens)), tokens]
    return np.where(np.isfinite(found), tokens, NO_TOKEN)


def _sampled(logits_RV: Floats, samplers: Sequence[Sampler]) -> Ints:
    weights_RV = weigh(logits_RV, [sampler.params for sampler in samplers])
    for weights_V, sampler in zip(weights_RV, samplers, strict=True):
        params = sampler.params
        if params.xtc_probability > 0.0 and sampler.generator.random() < params.xtc_probability:
            exclude_top(weights_V, params.xtc_threshold)
    uniform_R = np.array([sampler.generator.random() for sampler in samplers])
    return pick(weights_RV, uniform_R)


def _generator(seed: int | None, candidate: int) -> np.random.Generator:
    """The first candidate draws as a request for one answer does."""
    entropy = None if seed is None else seed % 2**64
    spawned = (candidate,) if candidate else ()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=spawned)))
