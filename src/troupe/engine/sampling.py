"""What a request may ask of sampling: penalties, bias, temperature, cut-offs, a seed; and limits.

Applied in this order: bias; repetition, presence and frequency penalties; DRY; what a grammar
allows; temperature; min-p; top-k; top-p; XTC; the draw (`sampler.py`). Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from troupe.engine.errors import CheckpointError, InvalidRequest

MAX_BIASES = 1024
MAX_BREAKERS = 16
MAX_BREAKER_LENGTH = 64  # characters
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
    dry_multiplier: float = 0.0  # 0: DRY is off
    dry_base: float = 1.75
    dry_allowed_length: int = 2  # tokens of a repeat that cost nothing
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    xtc_probability: float = 0.0  # of XTC taking part in a draw
    xtc_threshold: float = 0.1  # of probability; above 0.5 it can do nothing
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.temperature < GREEDY_BELOW

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
            ("dry_multiplier", self.dry_multiplier, 0.0, 100.0),
            ("dry_base", self.dry_base, 1.0, 8.0),
            ("dry_allowed_length", self.dry_allowed_length, 1, 2**31),
            ("xtc_probability", self.xtc_probability, 0.0, 1.0),
            ("xtc_threshold", self.xtc_threshold, 0.0, 1.0),
        ]
        for name, value, low, high in ranges:
            if not low <= value <= high:  # false for NaN too
                raise InvalidRequest(f"{name} is {value}, and must be {low} to {high}", name)
        if self.top_p == 0.0:
            raise InvalidRequest("top_p is 0, and must be above 0", "top_p")
        breakers = self.dry_sequence_breakers
        if len(breakers) > MAX_BREAKERS or not all(
            0 < len(text) <= MAX_BREAKER_LENGTH for text in breakers
        ):
            raise InvalidRequest(
                f"dry_sequence_breakers may have up to {MAX_BREAKERS} strings of 1 to "
                f"{MAX_BREAKER_LENGTH} characters",
                "dry_sequence_breakers",
            )
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
