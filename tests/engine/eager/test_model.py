"""The inference step: equal to the reference, and the same whatever runs beside it."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.engine.families import CASES, config_of, reference_of
from tests.engine.shapes import random_model, tiny_config
from tests.engine.stepping import chunks_of, run_together
from troupe.engine.config import ModelConfig
from troupe.engine.eager.arena import EagerArena
from troupe.engine.eager.gemm import RowOrder, product
from troupe.engine.eager.model import EagerModel
from troupe.engine.errors import CheckpointError
from troupe.engine.steps import PAGE, Floats, Span


def step_model(config: ModelConfig) -> EagerModel:
    return EagerModel(config, random_model(config).state_dict())


def pages_for(rng: random.Random, tokens: int, taken: set[int], limit: int) -> list[int]:
    """Pages scattered over the arena."""
    free = [p for p in range(1, limit) if p not in taken]
    pages = rng.sample(free, -(-tokens // PAGE))
    taken.update(pages)
    return pages


def logits_by_chunks(
    model: EagerModel, arena: EagerArena, ids: list[int], pages: list[int], chunks: list[int]
) -> Floats:
    """Run a prompt in chunks; the last row's logits."""
    start = 0
    logits = np.empty((1, 0), np.float32)
    for count in chunks:
        span = Span(ids[start : start + count], start, pages, start + count == len(ids))
        logits = model.step([span], arena)
        start += count
    assert start == len(ids)
    return logits[0]


FAMILIES = [config_of(family, changes) for family, changes in CASES.values()]
CONFIGS = [
    tiny_config(),
    tiny_config(num_kv_shared_layers=0, num_key_value_heads=2, final_logit_softcapping=9.0),
    tiny_config(tie_word_embeddings=False, use_double_wide_mlp=True, sliding_window=130),
    config_of(*CASES["llama, all heads, biases"]),
    config_of(*CASES["gemma3, one key-value head, biases, capped, untied"]),
]


@pytest.mark.parametrize("config", FAMILIES, ids=CASES.keys())
def test_logits_of_every_family_equal_the_reference(config: ModelConfig) -> None:
    reference = reference_of(config)
    model = EagerModel(config, reference.state_dict())
    ids = torch.randint(0, 512, (120,), generator=torch.Generator().manual_seed(1)).tolist()
    actual = logits_by_chunks(model, EagerArena(config, 10), ids, list(range(1, 9)), [50, 69, 1])
    with torch.no_grad():
        expected = reference(torch.tensor([ids]))[0, -1].numpy()
    assert np.abs(actual - expected).max() < 1e-4


@pytest.mark.parametrize("config", CONFIGS)
def test_logits_equal_the_reference(config: ModelConfig) -> None:
    reference = random_model(config)
    model = EagerModel(config, reference.state_dict())
    rng = random.Random(1)
    for length in (1, 2, 17, 140, 250):
        ids = [rng.randrange(config.vocab_size) for _ in range(length)]
        arena = EagerArena(config, 20)
        pages = pages_for(rng, length, set(), 20)
        actual = logits_by_chunks(model, arena, ids, pages, chunks_of(rng, length))
        with torch.no_grad():
            expected = reference(torch.tensor([ids]))[0, -1].numpy()
        assert np.abs(actual - expected).max() < 1e-4


@pytest.mark.parametrize("config", CONFIGS)
def test_logits_do_not_depend_on_chunks_pages_or_batch_mates(config: ModelConfig) -> None:
    model = step_model(config)
    rng = random.Random(2)
    for _ in range(6):
        arena, taken = EagerArena(config, 80), set[int]()
        prompts = [
            [rng.randrange(config.vocab_size) for _ in range(rng.choice([1, 9, 33, 129, 200]))]
            for _ in range(4)
        ]
        alone = []
        for ids in prompts:
            pages = pages_for(rng, len(ids), taken, 80)
            alone.append(logits_by_chunks(model, arena, ids, pages, chunks_of(rng, len(ids))))
            taken.difference_update(pages)
        for shared in (EagerArena(config, 80), EagerArena(config, 80, 70)):
            together = run_together(model, shared, prompts, rng, config.sliding_window)
            for one, other in zip(alone, together, strict=True):
                assert np.array_equal(one, other)


THREADS = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
from tests.engine.families import CASES, config_of, reference_of
from tests.engine.shapes import random_model, tiny_config
from troupe.engine.eager.arena import EagerArena
from troupe.engine.eager.model import EagerModel
from troupe.engine.steps import Span
config = tiny_config(hidden_size=256, intermediate_size=512, head_dim=64, global_head_dim=128,
                     vocab_size=4096, sliding_window=100, num_hidden_layers=6,
                     layer_types=("sliding_attention", "full_attention") * 3,
                     num_kv_shared_layers=2, max_position_embeddings=1024)
model = EagerModel(config, random_model(config).state_dict())
ids = torch.randint(0, 4096, (400,), generator=torch.Generator().manual_seed(3)).tolist()
arena, pages = EagerArena(config, 40), list(range(1, 27))
for start, end in ((0, 256), (256, 399), (399, 400)):
    logits = model.step([Span(ids[start:end], start, pages, end == 400)], arena)
sys.stdout.buffer.write(logits.tobytes())
"""


def test_logits_do_not_depend_on_the_number_of_threads() -> None:
    outputs = {
        subprocess.run(  # a fresh process each: thread pools cannot be shrunk
            [sys.executable, "-c", THREADS, str(threads)], capture_output=True, check=True
        ).stdout
        for threads in (1, 2, 3)
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) == 4096 * 4


@pytest.mark.parametrize("order", list(RowOrder))
def test_every_row_order_computes_the_same_product(order: RowOrder) -> None:
    x, weight = torch.randn(8, 32), torch.randn(32, 24)
    assert (product(x, weight, order) - x @ weight).abs().max() < 1e-4


def test_widths_that_would_break_the_promise_are_refused() -> None:
    config = tiny_config(intermediate_size=50)
    with pytest.raises(CheckpointError, match="intermediate_size is 50"):
        EagerModel(config, random_model(config).state_dict())
