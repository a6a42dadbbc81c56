"""What kinds of layer a model may have, and how each turns its queries and keys. Pure.

Rotary position embedding turns pairs of a head's dimensions by angles that grow with the position;
the ways to stretch it to longer contexts differ only in the frequencies and in one factor. Called
by the config, by `ref.py` and by the backends, so that all turn by the same angles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LayerType = Literal["sliding_attention", "full_attention"]
SLIDING: LayerType = "sliding_attention"
FULL: LayerType = "full_attention"

RopeKind = Literal["default", "proportional", "linear", "llama3", "yarn"]


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding of one layer type. Field names are Hugging Face's.

    `proportional` (Gemma 4) rotates the first `partial_rotary_factor` of the frequencies and
    leaves the others still, but spaces the frequencies over the whole head. `linear` divides all
    frequencies by `factor`; `llama3` divides the slow ones, as published with Llama 3.1; `yarn`
    (https://arxiv.org/abs/2309.00071) divides the slow ones too, and scales cosines and sines.
    """

    theta: float
    kind: RopeKind = "default"
    partial_rotary_factor: float = 1.0
    factor: float = 1.0
    original_context: int = 0  # tokens that the model was trained on before it was stretched
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    attention_factor: float = 1.0  # on cosines and sines

    def frequencies(self, head_dim: int) -> NDArray[np.float64]:
        """Radians a position, `(head_dim / 2,)`; zero where nothing turns."""
        found = self.theta ** -(np.arange(0, head_dim, 2) / head_dim)
        if self.kind == "proportional":
            found[int(self.partial_rotary_factor * head_dim // 2) :] = 0.0
        elif self.kind == "linear":
            found /= self.factor
        elif self.kind == "llama3":
            turns = self.original_context * found / (2 * math.pi)  # over the original context
            low, high = self.low_freq_factor, self.high_freq_factor
            kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
            found *= kept + (1.0 - kept) / self.factor
        elif self.kind == "yarn":
            kept = 1.0 - self._yarn_ramp(head_dim)
            found *= kept + (1.0 - kept) / self.factor
        return found

    def table(self, head_dim: int, positions: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Cosines and sines of positions from 0, each `(positions, head_dim / 2)` float32."""
        angles = np.arange(positions)[:, None] * self.frequencies(head_dim)
        scale = self.attention_factor
        return (
            (np.cos(angles) * scale).astype(np.float32),
            (np.sin(angles) * scale).astype(np.float32),
        )

    def _yarn_ramp(self, head_dim: int) -> NDArray[np.float64]:
        """How far each frequency is slowed: 0 not at all, 1 by the whole factor."""

        def index_of(turns: float) -> float:  # of the frequency with so many turns
            wave = self.original_context / (turns * 2 * math.pi)
            return head_dim * math.log(wave) / (2 * math.log(self.theta))

        low, high = index_of(self.beta_fast), index_of(self.beta_slow)
        if self.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, head_dim - 1)
        width = high - low if high != low else 0.001
        return np.clip((np.arange(head_dim // 2) - low) / width, 0.0, 1.0)
