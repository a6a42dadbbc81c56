"""Operations of a step, counted by the model's shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.shapes import random_model, tiny_config
from troupe.engine.backends import choose
from troupe.engine.config import SLIDING, ModelConfig
from troupe.engine.flops import Flops
from troupe.engine.steps import Span


def one_row(config: ModelConfig, position: int, wanted: bool) -> int:
    """A row's operations, layer by layer."""
    total = 2 * config.vocab_size * config.hidden_size if wanted else 0
    layers = config.num_hidden_layers if wanted else config.first_shared_layer
    for layer in range(layers):
        heads = 2 * config.num_attention_heads
        if layer < config.first_shared_layer:
            heads += 2 * config.num_key_value_heads
        weights = heads * config.dim(layer) + 3 * config.mlp_size(layer)
        total += 2 * config.hidden_size * weights
        seen = position + 1
        if config.layer_types[layer] == SLIDING:
            seen = min(seen, config.sliding_window)
        total += 4 * config.num_attention_heads * config.dim(layer) * seen
    return total


@given(start=st.integers(0, 40), count=st.integers(1, 40), wanted=st.integers(0, 40))
def test_a_span_is_the_sum_of_its_rows(start: int, count: int, wanted: int) -> None:
    config = tiny_config()
    wanted = min(wanted, count)
    expected = sum(one_row(config, start + row, row >= count - wanted) for row in range(count))
    assert Flops(config).span(start, count, wanted) == expected


def test_a_step_is_the_sum_of_its_spans() -> None:
    flops = Flops(tiny_config())
    spans = [Span([5] * 9, 3, [1], False), Span([5], 30, [2, 3], True)]
    assert flops.of(spans) == flops.span(3, 9, 0) + flops.span(30, 1, 1)


def test_a_wanted_row_is_multiplied_with_every_matrix_of_the_model() -> None:
    config = tiny_config(sliding_window=1)
    matrices = [t for t in random_model(config).state_dict().values() if t.dim() == 2]
    weights = sum(matrix.numel() for matrix in matrices)
    attention = 4 * config.num_attention_heads * sum(map(config.dim, range(12)))
    assert Flops(config).span(0, 1, 1) == 2 * weights + attention


@pytest.mark.parametrize("name", ["native", "eager"])
def test_a_backend_knows_what_it_could_do_at_best(name: str) -> None:
    assert choose(name, tiny_config()).rate(1) > 1e8  # type: ignore[arg-type]
