"""How many floating-point operations a step is, by the model's shape: what a utilisation is
measured by (model FLOPs: Chowdhery et al. 2022, appendix B). Pure. Called by the worker.
"""

from __future__ import annotations

from collections.abc import Iterable

from troupe.engine.config import SLIDING, ModelConfig
from troupe.engine.steps import Span


class Flops:
    """Operations of spans, whatever computes them. A multiplication and an addition are two.

    Rows without wanted logits need no more than the layers that make keys and values; the layers
    that share them and the head run for wanted rows only.
    """

    def __init__(self, config: ModelConfig) -> None:
        own = range(config.first_shared_layer)
        rest = range(config.first_shared_layer, config.num_hidden_layers)
        self._window = config.sliding_window
        self._row = sum(2 * _layer_weights(config, layer) for layer in own)
        self._wanted = sum(2 * _layer_weights(config, layer) for layer in rest)
        self._wanted += 2 * config.vocab_size * config.hidden_size
        self._own = _attention(config, own)
        self._rest = _attention(config, rest)

    def of(self, spans: Iterable[Span]) -> int:
        """Operations of a step."""
        return sum(
            self.span(span.start, len(span.tokens), int(span.wants_logits)) for span in spans
        )

    def span(self, start: int, count: int, wanted: int) -> int:
        """Operations of `count` rows from position `start` on, of which the last `wanted` want
        logits."""
        total = count * self._row + wanted * self._wanted
        for (full, sliding), rows in ((self._own, count), (self._rest, wanted)):
            begin = start + count - rows
            total += full * _seen(begin, rows) + sliding * _seen_in(self._window, begin, rows)
        return total


def _layer_weights(config: ModelConfig, layer: int) -> int:
    """Weights that a row is multiplied with."""
    heads = 2 * config.num_attention_heads  # queries in, values out
    if layer < config.first_shared_layer:
        heads += 2 * config.num_key_value_heads
    return config.hidden_size * (heads * config.dim(layer) + 3 * config.mlp_size(layer))


def _attention(config: ModelConfig, layers: Iterable[int]) -> tuple[int, int]:
    """Operations for each position that a row sees: of the layers that see all, and of those with
    a window."""
    full = sliding = 0
    for layer in layers:
        each = 4 * config.num_attention_heads * config.dim(layer)
        if config.layer_types[layer] == SLIDING:
            sliding += each
        else:
            full += each
    return full, sliding


def _seen(start: int, count: int) -> int:
    """Positions that `count` rows from `start` on see together: each itself and all before it."""
    return count * (2 * start + count + 1) // 2


def _seen_in(window: int, start: int, count: int) -> int:
    """The same with a window."""
    inside = max(0, min(count, window - 1 - start))  # rows that see back to the beginning
    return _seen(start, inside) + (count - inside) * window
