"""Every family as transformers computes it, from folders as transformers and others write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.engine.families import CASES, LLAMA3, TINY, write_model
from tests.engine.shapes import tiny_config
from troupe.engine.config import FULL, SLIDING, ModelConfig
from troupe.engine.errors import CheckpointError
from troupe.engine.layers import Rope
from troupe.engine.ref import Model
from troupe.engine.weights import Weights, tensor_shapes

IDS = torch.randint(0, 512, (2, 100), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("family", "changes"), CASES.values(), ids=CASES.keys())
def test_logits_equal_those_of_transformers(
    tmp_path: Path, family: str, changes: dict[str, Any]
) -> None:
    theirs = write_model(tmp_path, family, changes)
    ours = Model.load(tmp_path)
    with torch.no_grad():
        expected, actual = theirs(IDS).logits, ours(IDS)
    assert expected.std() > 0.1
    assert (actual - expected).abs().max() < 1e-4
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.state_dict().items()}
    assert tensor_shapes(ours.config) == shapes


def test_weights_in_many_files_with_an_index_are_read_whole(tmp_path: Path) -> None:
    theirs = write_model(tmp_path, "llama", {}, max_shard_size="40KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    # Another copy of the weights, in another layout, is none of the index's.
    save_file({"tok_embeddings.weight": torch.zeros(1)}, tmp_path / "consolidated.safetensors")
    assert "tok_embeddings.weight" not in Weights(tmp_path)
    with torch.no_grad():
        assert (Model.load(tmp_path)(IDS) - theirs(IDS).logits).abs().max() < 1e-4
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=r"lacks 1 of the \d+ files of weights"):
        Model.load(tmp_path)


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model."])
def test_the_text_part_of_a_model_that_sees_is_served(tmp_path: Path, prefix: str) -> None:
    _, changes = CASES["gemma3"]
    theirs = write_model(tmp_path, "gemma3_text", changes)
    text = json.loads((tmp_path / "config.json").read_text())
    whole = {
        "model_type": "gemma3",
        "text_config": {k: v for k, v in text.items() if k != "eos_token_id"},
        "vision_config": {"hidden_size": 3},
        "image_token_index": 5,
        "eos_token_id": [1, 106],
    }
    (tmp_path / "config.json").write_text(json.dumps(whole))
    (tmp_path / "generation_config.json").unlink()
    state = load_file(tmp_path / "model.safetensors")
    renamed = {name.replace("model.", prefix, 1): tensor for name, tensor in state.items()}
    renamed["vision_tower.embed.weight"] = torch.ones(2)
    save_file(renamed, tmp_path / "model.safetensors")
    ours = Model.load(tmp_path)
    assert ours.config.eos_token_ids == (1, 106)
    with torch.no_grad():
        assert (ours(IDS) - theirs(IDS).logits).abs().max() < 1e-4


LLAMA: dict[str, Any] = {"model_type": "llama", **TINY}


def test_older_files_say_rope_in_other_keys() -> None:
    scaling = {"type": "linear", "factor": 2.0}
    config = ModelConfig.from_dict({**LLAMA, "rope_theta": 5e5, "rope_scaling": scaling})
    assert config.rope_full == Rope(5e5, "linear", factor=2.0)
    assert ModelConfig.from_dict({**LLAMA, "rope_scaling": None}).rope_full == Rope(10_000.0)
    older = {"model_type": "gemma3_text", "rope_theta": 1e6, "rope_local_base_freq": 1e4,
             "rope_scaling": {"rope_type": "linear", "factor": 8.0}}  # fmt: skip
    gemma = ModelConfig.from_dict(older)
    assert gemma.rope_full == Rope(1e6, "linear", factor=8.0)
    assert gemma.rope_sliding == Rope(1e4)


def test_what_a_gemma_3_file_leaves_out_is_the_format_s_default() -> None:
    data = {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34,
            "intermediate_size": 10240, "sliding_window": 1024}  # fmt: skip
    config = ModelConfig.from_dict(data)
    assert (config.vocab_size, config.head_dim, config.num_key_value_heads) == (262_208, 256, 4)
    assert config.layer_types[:6] == (SLIDING,) * 5 + (FULL,)
    assert config.attention_scale == 256**-0.5


def test_the_text_part_of_a_gemma_4_is_read_or_refused_by_what_it_asks() -> None:
    text = {k: v for k, v in tiny_config().to_dict().items() if k != "eos_token_id"}
    whole = {"model_type": "gemma4", "text_config": text, "eos_token_id": [1, 106]}
    assert ModelConfig.from_dict(whole) == tiny_config(eos_token_ids=(1, 106))
    for change in ({"hidden_size_per_layer_input": 256}, {"attention_k_eq_v": True}):
        with pytest.raises(CheckpointError, match=next(iter(change))):
            ModelConfig.from_dict({**whole, "text_config": {**text, **change}})
    with pytest.raises(CheckpointError, match="quantization_config"):
        ModelConfig.from_dict({**whole, "quantization_config": {"quant_method": "fp8"}})


def test_yarn_serves_the_stretched_context() -> None:
    """Published files give the context before stretching, or after, as theirs."""
    scaling = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    for context in (64, 256):
        data = {**LLAMA, "max_position_embeddings": context, "rope_scaling": scaling}
        assert ModelConfig.from_dict(data).max_position_embeddings == 256


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "phi3"}, "model_type is 'phi3'.*llama, mistral, qwen2, qwen3"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'.*Llama models with hidden_act = 'silu'"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "'longrope' is not computed"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4, "mrope_section": [1]}}, "mrope_sect"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor of rope_parameters"),
        ({"rope_parameters": {**LLAMA3, "high_freq_factor": 1.0}}, "above low_freq_factor"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_key_value_heads": 3}, "no multiple"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps"),
        ({"rope_theta": "big"}, "rope_theta"),
        ({"frobnicate": 1}, "unknown keys"),
        ({"mlp_bias": 1}, "mlp_bias"),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        ModelConfig.from_dict({**LLAMA, **change})


def test_only_gemma_4_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="llama is read only"):
        ModelConfig.from_dict(LLAMA).save(tmp_path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"weight_map": {"a": "../x"}}', '{"weight_map": 3}'])
def test_an_index_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="index"):
        Weights(tmp_path)
