"""How the next token is drawn from logits: penalties, bias, temperature, cut-offs, a seed.

Pure functions of one row of logits and what the sequence has seen, so a draw depends on no other
request. Order as in vLLM: bias and penalties, temperature, then min-p, top-k and top-p.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from troupe.engine.errors import CheckpointError, InvalidRequest
from troupe.engine.steps import Floats

MAX_BIASES = 1024
GREEDY_BELOW = 1e-4  # a lower temperature would divide logits into infinities


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """One request's wishes. A temperature under `GREEDY_BELOW` takes the likeliest token."""

    temperature: float = 1.0
    top_k: int = 0  # 0: no limit
    top_p: float = 1.0
    min_p: float = 0.0  # of the likeliest token's probability
    repetition_penalty: float = 1.0  # over prompt and answer (Keskar et al. 2019)
    presence_penalty: float = 0.0  # over the answer, as OpenAI's
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None

    def check(self, vocab_size: int) -> None:
        """Raises `InvalidRequest` naming the first field out of range."""
        ranges: list[tuple[str, float, float, float]] = [
            ("temperature", self.temperature, 0.0, 100.0),
            ("top_k", self.top_k, -1, 2**31),
            ("top_p", self.top_p, 0.0, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("repetition_penalty", self.repetition_penalty, 0.01, 100.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
        ]
        for name, value, low, high in ranges:
            if not low <= value <= high:  # false for NaN too
                raise InvalidRequest(f"{name} is {value}, and must be {low} to {high}", name)
        if self.top_p == 0.0:
            raise InvalidRequest("top_p is 0, and must be above 0", "top_p")
        if len(self.logit_bias) > MAX_BIASES:
            raise InvalidRequest(f"logit_bias has over {MAX_BIASES} entries", "logit_bias")
        for token, bias in self.logit_bias.items():
            if not 0 <= token < vocab_size:
                raise InvalidRequest(f"logit_bias names token {token}, not a token", "logit_bias")
            if not -100.0 <= bias <= 100.0:
                raise InvalidRequest(f"logit_bias of {token} must be -100 to 100", "logit_bias")
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            raise InvalidRequest("seed must fit in 64 bits", "seed")

    @classmethod
    def defaults(cls, folder: Path) -> SamplingParams:
        """What the model's `generation_config.json` recommends. Raises `CheckpointError`."""
        path = folder / "generation_config.json"
        if not path.exists():
            return cls()
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            names = {"temperature", "top_k", "top_p", "min_p", "repetition_penalty"}
            known = {f.name for f in fields(cls)} & names
            given = {n: data[n] for n in known if isinstance(data.get(n), int | float)}
            params = replace(cls(), **given)
            if data.get("do_sample") is False:
                params = replace(params, temperature=0.0)
            params.check(2**31)
        except (OSError, ValueError, AttributeError, InvalidRequest) as error:
            raise CheckpointError(f"{path} cannot be used: {error}") from error
        return params


class Sampler:
    """Draws the tokens of one sequence, with a generator of its own."""

    def __init__(self, params: SamplingParams, prompt: Sequence[int]) -> None:
        self._params = params
        seed = None if params.seed is None else params.seed % 2**64
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._seen = set(prompt) if params.repetition_penalty != 1.0 else set()
        self._counts: dict[int, int] = {}  # of the answer's tokens

    def resume(self, tokens: Sequence[int]) -> None:
        """Stand where a sampler stands that has drawn `tokens`. A token takes one number of the
        generator, whichever it is, so a seed goes on in its place."""
        for token in tokens:
            self._counts[token] = self._counts.get(token, 0) + 1
        if self._params.repetition_penalty != 1.0:
            self._seen.update(tokens)
        if self._params.temperature >= GREEDY_BELOW:
            self._generator.bit_generator.advance(len(tokens))  # type: ignore[attr-defined]

    def draw(self, logits_V: Floats) -> int:
        """The next token. `logits_V` is left as it is. Raises `ValueError` for logits that are no
        numbers."""
        params = self._params
        logits_V = self._adjusted(logits_V)
        if params.temperature < GREEDY_BELOW:
            token = int(logits_V.argmax())
            if np.isnan(logits_V[token]):
                raise ValueError("the model's logits are no numbers")
        else:
            probabilities_V = cut(logits_V / np.float32(params.temperature), params)
            reached = np.cumsum(probabilities_V, dtype=np.float64)
            if not np.isfinite(reached[-1]):
                raise ValueError("the model's logits are no numbers")
            token = int(np.searchsorted(reached, self._generator.random() * reached[-1], "right"))
        self._counts[token] = self._counts.get(token, 0) + 1
        if params.repetition_penalty != 1.0:
            self._seen.add(token)
        return token

    def _adjusted(self, logits_V: Floats) -> Floats:
        """Bias and penalties."""
        params = self._params
        penalised = params.presence_penalty != 0.0 or params.frequency_penalty != 0.0
        if not (params.logit_bias or self._seen or (penalised and self._counts)):
            return logits_V
        logits_V = logits_V.copy()
        if params.logit_bias:
            ids = list(params.logit_bias)
            logits_V[ids] += np.array(list(params.logit_bias.values()), np.float32)
        if self._seen:
            ids = sorted(self._seen)
            picked, rate = logits_V[ids], np.float32(params.repetition_penalty)
            logits_V[ids] = np.where(picked > 0, picked / rate, picked * rate)
        if penalised and self._counts:
            ids = list(self._counts)
            counts = np.array(list(self._counts.values()), np.float32)
            logits_V[ids] -= params.presence_penalty + params.frequency_penalty * counts
        return logits_V


def cut(logits_V: Floats, params: SamplingParams) -> Floats:
    """Probabilities left after min-p, top-k and top-p; they sum to 1, and at least one is left."""
    if params.min_p > 0.0:
        floor = logits_V.max() + np.float32(math.log(params.min_p))
        logits_V = np.where(logits_V < floor, -np.inf, logits_V)
    size = logits_V.shape[0]
    limit = params.top_k if 0 < params.top_k < size else 0
    if params.top_p >= 1.0:
        if limit:
            least = np.partition(logits_V, size - limit)[size - limit]
            logits_V = np.where(logits_V < least, -np.inf, logits_V)
        return softmax(logits_V)
    ids = np.argpartition(logits_V, size - limit)[size - limit :] if limit else np.arange(size)
    ids = ids[np.argsort(-logits_V[ids], kind="stable")]
    probabilities = softmax(logits_V[ids])
    before = np.cumsum(probabilities) - probabilities  # mass of the likelier tokens
    probabilities[before >= params.top_p] = 0.0
    result = np.zeros(size, np.float32)
    result[ids] = probabilities / probabilities.sum()
    return result


def softmax(logits_V: Floats) -> Floats:
    """Probabilities of logits; -inf stands for impossible."""
    weights: Floats = np.exp(logits_V - logits_V.max(), dtype=np.float32)
    weights /= weights.sum()
    return weights
