"""The reference model against transformers, and what training relies on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.engine.shapes import random_model, tiny_config
from troupe.engine.config import FULL, ModelConfig
from troupe.engine.errors import CheckpointError
from troupe.engine.ref import Model
from troupe.engine.weights import tensor_shapes

CONFIGS = {
    "shared": tiny_config(),
    "shared, double-wide, untied, capped": tiny_config(
        use_double_wide_mlp=True, tie_word_embeddings=False, final_logit_softcapping=5.0
    ),
    "unshared, two key-value heads": tiny_config(num_kv_shared_layers=0, num_key_value_heads=2),
    "six layers, all full but the first": tiny_config(
        num_hidden_layers=6,
        num_kv_shared_layers=3,
        layer_types=("sliding_attention", *(FULL,) * 5),
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_logits_equal_those_of_transformers(tmp_path: Path, config: ModelConfig) -> None:
    from transformers import Gemma4UnifiedForCausalLM

    ours = random_model(config)
    config.save(tmp_path)
    save_file(ours.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    theirs = Gemma4UnifiedForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    ids = torch.randint(0, config.vocab_size, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, actual = theirs(ids).logits, ours(ids)
        reloaded = Model.load(tmp_path)(ids)
    assert expected.std() > 0.1
    assert (actual - expected).abs().max() < 1e-4
    assert torch.equal(reloaded, actual)


def test_packed_documents_do_not_see_one_another() -> None:
    model = random_model(tiny_config())
    first, second = torch.randint(0, 512, (1, 17)), torch.randint(0, 512, (1, 23))
    packed = torch.cat([first, second], dim=1)
    documents = torch.tensor([[0] * 17 + [1] * 23])
    positions = torch.cat([torch.arange(17), torch.arange(23)])[None]
    with torch.no_grad():
        together = model(packed, positions, documents)
        apart = torch.cat([model(first), model(second)], dim=1)
    assert (together - apart).abs().max() < 1e-4


def test_only_the_distance_between_positions_counts() -> None:
    model = random_model(tiny_config())
    ids = torch.randint(0, 512, (1, 20))
    with torch.no_grad():
        here, there = model(ids), model(ids, torch.arange(100, 120)[None])
    assert (here - there).abs().max() < 1e-3


def test_every_parameter_learns_in_bfloat16_autocast() -> None:
    model = Model(tiny_config())
    ids = torch.randint(0, 512, (2, 24))
    with torch.autocast("cpu", torch.bfloat16):
        loss = torch.nn.functional.cross_entropy(model(ids).float().flatten(0, 1), ids.flatten())
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tiny_config().save(tmp_path)
    with pytest.raises(CheckpointError, match=r"has no \*\.safetensors"):
        Model.load(tmp_path)
    save_file({"model.norm.weight": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no tensor model"):
        Model.load(tmp_path)
    state = random_model(tiny_config()).state_dict()
    state["model.norm.weight"] = torch.ones(3)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight has shape \(3,\)"):
        Model.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Model.load(tmp_path)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_shapes_asked_of_a_file_are_the_model_s(config: ModelConfig) -> None:
    state = Model(config).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert tensor_shapes(config) == shapes
