"""Reading and writing `config.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.shapes import tiny_config
from troupe.engine.config import FULL, SLIDING, ModelConfig
from troupe.engine.errors import CheckpointError


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    config = tiny_config(eos_token_ids=(1, 7), final_logit_softcapping=30.0)
    config.save(tmp_path)
    assert ModelConfig.load(tmp_path) == config


def test_layers_default_to_five_sliding_and_one_full() -> None:
    assert tiny_config().layer_types == ((SLIDING,) * 5 + (FULL,)) * 2


def test_shared_layers_use_the_last_unshared_layer_of_their_type() -> None:
    config = tiny_config()
    assert [config.kv_layer(i) for i in range(12)] == [0, 1, 2, 3, 4, 5, 4, 4, 4, 4, 4, 5]


def test_generation_config_decides_the_end_tokens(tmp_path: Path) -> None:
    tiny_config().save(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 9]}))
    assert ModelConfig.load(tmp_path).eos_token_ids == (1, 9)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "gemma2"}, "model_type is 'gemma2'"),
        ({"hidden_size_per_layer_input": 256}, "hidden_size_per_layer_input"),
        ({"enable_moe_block": True}, "enable_moe_block"),
        ({"attention_k_eq_v": True}, "attention_k_eq_v"),
        ({"hidden_activation": "silu"}, "hidden_activation"),
        ({"frobnicate": 1}, "unknown keys"),
        ({"hidden_size": "32"}, "wrong type"),
        ({"hidden_size": True}, "wrong type"),
        ({"num_kv_shared_layers": 7}, "share fewer layers"),
        ({"num_key_value_heads": 3}, "no multiple"),
        ({"layer_types": [FULL]}, "1 entries for 12 layers"),
        ({"layer_types": [FULL] * 11 + [SLIDING]}, "the last of layer_types"),
        ({"rope_parameters": {FULL: {"rope_type": "longrope", "rope_theta": 1.0}}}, "'longro"),
        ({"eos_token_id": "x"}, "eos_token_id"),
        ({"head_dim": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(change: object, complaint: str) -> None:
    data = {**tiny_config().to_dict(), **change}  # type: ignore[dict-item]
    with pytest.raises(CheckpointError, match=complaint):
        ModelConfig.from_dict(data)


def test_a_missing_key_is_named() -> None:
    data = tiny_config().to_dict()
    del data["hidden_size"]
    with pytest.raises(CheckpointError, match="hidden_size"):
        ModelConfig.from_dict(data)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_an_unreadable_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        ModelConfig.load(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        ModelConfig.load(tmp_path / "nowhere")
