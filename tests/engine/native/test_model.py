"""The CPU operator: near the reference, and the same whatever runs beside it."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from tests.engine.families import CASES, config_of, reference_of
from tests.engine.shapes import random_model, tiny_config
from tests.engine.stepping import chunks_of, run_together
from tests.support.divergence import divergence
from troupe.engine.config import ModelConfig
from troupe.engine.cuts import softmax
from troupe.engine.errors import CheckpointError
from troupe.engine.native import library
from troupe.engine.native.arena import NativeArena
from troupe.engine.native.model import NativeModel
from troupe.engine.native.packing import InMemory, PackedModel
from troupe.engine.steps import PAGE, Floats, Span
from troupe.settings import MODELS
from troupe.train.corpus import Size

FAMILIES = [config_of(family, changes) for family, changes in CASES.values()]
SHIPPED = MODELS / "troupe-small"
CONFIGS = [
    tiny_config(),
    tiny_config(num_kv_shared_layers=0, num_key_value_heads=2, final_logit_softcapping=9.0),
    tiny_config(tie_word_embeddings=False, use_double_wide_mlp=True, sliding_window=130),
    tiny_config(hidden_size=36, intermediate_size=50, vocab_size=500),  # no multiples of a block
    tiny_config(num_attention_heads=7, head_dim=20, global_head_dim=72),  # nor of a tile
    config_of(*CASES["llama, all heads, biases"]),
    config_of(*CASES["mistral, a window in every layer"]),
    config_of(*CASES["gemma3, one key-value head, biases, capped, untied"]),
]


def native(config: ModelConfig, threads: int = 1) -> NativeModel:
    state = random_model(config).state_dict()
    return NativeModel(config, packed(config, state), config.max_position_embeddings, threads)


def packed(config: ModelConfig, state: Mapping[str, torch.Tensor]) -> PackedModel:
    weights = InMemory({name: tensor.numpy() for name, tensor in state.items()})
    return PackedModel.in_memory(config, weights)


def run_alone(model: NativeModel, ids: list[int], pages: list[int], chunks: list[int]) -> Floats:
    """Run a prompt in chunks on an arena of its own; the last row's logits."""
    arena, start = NativeArena(model.config, 80), 0
    logits = np.empty((1, 0), np.float32)
    for count in chunks:
        span = Span(ids[start : start + count], start, pages, start + count == len(ids))
        logits = model.step([span], arena)
        start += count
    return logits[0]


def prompts_of(rng: random.Random, config: ModelConfig) -> list[list[int]]:
    lengths = [rng.choice([1, 9, 33, 129, 200]) for _ in range(4)]
    return [[rng.randrange(config.vocab_size) for _ in range(length)] for length in lengths]


@pytest.mark.parametrize("config", CONFIGS)
def test_logits_are_near_the_reference_s(config: ModelConfig) -> None:
    reference, model = random_model(config), native(config)
    rng = random.Random(1)
    for length in (1, 2, 17, 140, 250):
        ids = [rng.randrange(config.vocab_size) for _ in range(length)]
        actual = run_alone(model, ids, list(range(1, 20)), chunks_of(rng, length))
        with torch.no_grad():
            expected = reference(torch.tensor([ids]))[0, -1].numpy()
        # Random weights take rounding worst; what it costs is judged on the shipped model below.
        assert np.abs(actual - expected).mean() < 0.2 * expected.std()
        assert np.corrcoef(actual, expected)[0, 1] > 0.97


@pytest.mark.parametrize("config", FAMILIES, ids=CASES.keys())
def test_rounding_costs_no_family_much(config: ModelConfig) -> None:
    """At most 0.005 nats of Kullback-Leibler divergence from float32, with weights like trained
    ones; what is left out or done twice costs a hundred times that."""
    reference = reference_of(config)
    model, found = NativeModel(config, packed(config, reference.state_dict()), 128), []
    for seed in range(6):
        ids = torch.randint(0, 512, (60,), generator=torch.Generator().manual_seed(seed)).tolist()
        with torch.no_grad():
            expected = torch.log_softmax(reference(torch.tensor([ids]))[0, -1], -1).numpy()
        actual = np.log(softmax(run_alone(model, ids, list(range(1, 20)), [20, 40])))
        assert expected.std() > 0.5
        assert np.corrcoef(actual, expected)[0, 1] > 0.99
        found.append(float((np.exp(expected) * (expected - actual)).sum()))
    assert np.mean(found) < 0.005


def test_rounding_costs_the_shipped_model_next_to_nothing() -> None:
    """At most 0.005 nats of Kullback-Leibler divergence from float32, over held-out talk."""
    found = divergence(SHIPPED, seed=77, talks=4, size=Size(7, 1800), longest=600)
    assert np.mean(found) < 0.005


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("threads", [1, 3])
def test_logits_do_not_depend_on_chunks_pages_threads_or_batch_mates(
    config: ModelConfig, threads: int
) -> None:
    alone, shared = native(config), native(config, threads)
    rng = random.Random(2)
    for _ in range(3):
        prompts = prompts_of(rng, config)
        expected = [
            run_alone(alone, ids, rng.sample(range(1, 80), -(-len(ids) // PAGE)), [len(ids)])
            for ids in prompts
        ]
        for arena in (NativeArena(config, 80), NativeArena(config, 80, 70)):
            together = run_together(shared, arena, prompts, rng, config.sliding_window)
            for one, other in zip(together, expected, strict=True):
                assert np.array_equal(one, other)


@pytest.mark.usefixtures("best")
@pytest.mark.parametrize("config", CONFIGS)
def test_every_instruction_set_computes_the_same_bits(config: ModelConfig, sets: list[str]) -> None:
    model, rng = native(config), random.Random(3)
    prompts = prompts_of(rng, config)
    found = []
    for name in sets:
        library.use(name)
        found.append([run_alone(model, ids, list(range(1, 20)), [len(ids)]) for ids in prompts])
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_page_can_be_copied() -> None:
    config = tiny_config()
    model, arena = native(config), NativeArena(config, 6)
    ids = list(range(30, 50))
    expected = model.step([Span(ids, 0, [1, 2], True)], arena)
    arena.copy(2, 5, 3)
    again = model.step([Span(ids[19:], 19, [1, 5], True)], arena)
    assert np.array_equal(again, expected)


def test_a_step_that_wants_no_logits_gives_none() -> None:
    config = tiny_config()
    logits = native(config).step([Span([5, 6], 0, [1], False)], NativeArena(config, 3))
    assert logits.shape == (0, config.vocab_size)


def test_a_step_beyond_the_model_s_memory_is_refused() -> None:
    config = tiny_config()
    model, arena = native(config), NativeArena(config, 40)
    with pytest.raises(ValueError, match="513 tokens"):
        model.step([Span([5] * 513, 0, list(range(1, 34)), True)], arena)
    with pytest.raises(ValueError, match="below 256"):
        model.step([Span([5], 256, list(range(1, 18)), True)], arena)


def test_a_shape_that_is_not_served_is_refused() -> None:
    with pytest.raises(CheckpointError, match="multiples of 4"):
        native(tiny_config(head_dim=6))
