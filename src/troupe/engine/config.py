"""The shape of a model, read from and written to a Hugging Face `config.json`.

One shape holds all families that are served: `families.py` reads each one's `config.json` into
these fields, and no backend asks for a family's name. What Troupe itself trains is written in
Gemma 4's text format without per-layer embeddings (`model_type: gemma4_text`), which transformers,
llama.cpp and vLLM load unchanged. Called by `ref`, the backends and the training stack; knows
nothing of weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from troupe.engine.errors import CheckpointError
from troupe.engine.families import fields
from troupe.engine.layers import FULL, SLIDING, LayerType, Rope

__all__ = ["FULL", "SLIDING", "LayerType", "ModelConfig", "Rope"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Every number that decides what the model computes. Field names are Hugging Face's where
    there is one; the defaults are Gemma 4's."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_dim: int
    global_head_dim: int
    sliding_window: int  # a token sees itself and sliding_window - 1 before it
    max_position_embeddings: int
    num_key_value_heads: int = 1
    num_kv_shared_layers: int = 0
    layer_types: tuple[LayerType, ...] = ()  # empty: five sliding, then one full, repeated
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True
    final_logit_softcapping: float | None = None
    use_double_wide_mlp: bool = False
    rope_sliding: Rope = field(default_factory=lambda: Rope(10_000.0))
    rope_full: Rope = field(default_factory=lambda: Rope(1_000_000.0, "proportional", 0.25))
    family: str = "gemma4"  # for people: the switches below say what is computed
    activation: Literal["gelu_pytorch_tanh", "silu"] = "gelu_pytorch_tanh"
    attention_scale: float = 1.0
    scale_embedding: bool = True  # by the root of hidden_size
    norm_offset: float = 0.0  # added to every norm's weight
    sandwich_norms: bool = True  # a norm after each block too, not only before
    qk_norm: bool = True
    v_norm: bool = True
    layer_scalar: bool = True
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    pad_token_id: int | None = 0
    bos_token_id: int | None = 2
    eos_token_ids: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not self.layer_types:
            pattern = tuple(
                FULL if (i + 1) % 6 == 0 else SLIDING for i in range(self.num_hidden_layers)
            )
            object.__setattr__(self, "layer_types", pattern)
        _check(self)

    @property
    def first_shared_layer(self) -> int:
        """Layers from this one on compute no keys and values of their own."""
        return self.num_hidden_layers - self.num_kv_shared_layers

    def kv_layer(self, layer: int) -> int:
        """The layer whose keys and values `layer` attends to: itself, or for a shared layer the
        last unshared one of the same type."""
        if layer < self.first_shared_layer:
            return layer
        same = [
            i
            for i in range(self.first_shared_layer)
            if self.layer_types[i] == self.layer_types[layer]
        ]
        return same[-1]

    def dim(self, layer: int) -> int:
        """Size of a head in `layer`."""
        return self.head_dim if self.layer_types[layer] == SLIDING else self.global_head_dim

    def rope(self, layer: int) -> Rope:
        """Rotary embedding of `layer`."""
        return self.rope_sliding if self.layer_types[layer] == SLIDING else self.rope_full

    def mlp_size(self, layer: int) -> int:
        """Inner size of the feed-forward block of `layer`."""
        wide = self.use_double_wide_mlp and layer >= self.first_shared_layer
        return self.intermediate_size * (2 if wide else 1)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "config.json") -> ModelConfig:
        """Read a parsed `config.json`. Raises `CheckpointError` naming `where` and the key."""
        values = fields(data, where)
        try:
            return cls(**values)
        except CheckpointError as error:
            raise CheckpointError(f"{where}: {error}") from error
        except TypeError as error:
            raise CheckpointError(f"{where}: a required key is missing: {error}") from error

    @classmethod
    def load(cls, folder: Path) -> ModelConfig:
        """Read `folder/config.json`, and the end tokens of `folder/generation_config.json` where
        there is one. Raises `CheckpointError`."""
        data = dict(read_json(folder / "config.json"))
        generation = folder / "generation_config.json"
        if generation.exists():
            eos = read_json(generation).get("eos_token_id")
            if eos is not None:
                data["eos_token_id"] = eos
        return cls.from_dict(data, str(folder / "config.json"))

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` that transformers, llama.cpp and vLLM read, of a Gemma 4 model: other
        families are read only."""
        if self.family != "gemma4":
            raise ValueError(f"a config of the family {self.family} is read only")
        eos = self.eos_token_ids
        return {
            "architectures": ["Gemma4ForCausalLM"],
            "model_type": "gemma4_text",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "global_head_dim": self.global_head_dim,
            "num_kv_shared_layers": self.num_kv_shared_layers,
            "layer_types": list(self.layer_types),
            "sliding_window": self.sliding_window,
            "max_position_embeddings": self.max_position_embeddings,
            "rope_parameters": {
                SLIDING: _rope_to_dict(self.rope_sliding),
                FULL: _rope_to_dict(self.rope_full),
            },
            "rms_norm_eps": self.rms_norm_eps,
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": self.vocab_size,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attention_k_eq_v": False,
            "enable_moe_block": False,
            "use_double_wide_mlp": self.use_double_wide_mlp,
            "use_bidirectional_attention": None,
            "tie_word_embeddings": self.tie_word_embeddings,
            "final_logit_softcapping": self.final_logit_softcapping,
            "pad_token_id": self.pad_token_id,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos[0] if len(eos) == 1 else list(eos),
        }

    def save(self, folder: Path) -> None:
        """Write `folder/config.json`."""
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")


def _check(c: ModelConfig) -> None:
    """Refuse shapes that cannot be computed; says which field and why."""
    sizes = {
        name: getattr(c, name)
        for name in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "global_head_dim",
            "sliding_window",
            "max_position_embeddings",
        )
    }
    for name, value in sizes.items():
        if value < 1:
            raise CheckpointError(f"{name} is {value}, and must be at least 1")
    rules = [
        (c.num_attention_heads % c.num_key_value_heads == 0,
         f"num_attention_heads {c.num_attention_heads} is no multiple of num_key_value_heads "
         f"{c.num_key_value_heads}"),
        (c.head_dim % 2 == 0 and c.global_head_dim % 2 == 0,
         f"head_dim {c.head_dim} and global_head_dim {c.global_head_dim} must be even"),
        (len(c.layer_types) == c.num_hidden_layers,
         f"layer_types has {len(c.layer_types)} entries for {c.num_hidden_layers} layers"),
        (set(c.layer_types) <= {SLIDING, FULL},
         f"layer_types may hold {SLIDING} and {FULL} only, and has {sorted(set(c.layer_types))}"),
        (c.family != "gemma4" or c.layer_types[-1:] == (FULL,),
         f"the last of layer_types must be {FULL}"),
        (0 <= c.num_kv_shared_layers < c.num_hidden_layers,
         f"num_kv_shared_layers {c.num_kv_shared_layers} must leave a layer of "
         f"{c.num_hidden_layers} with keys and values of its own"),
        (c.rms_norm_eps > 0, f"rms_norm_eps is {c.rms_norm_eps}, and must be above 0"),
        (c.final_logit_softcapping is None or c.final_logit_softcapping > 0,
         "final_logit_softcapping must be above 0, or null"),
    ]  # fmt: skip
    for holds, complaint in rules:
        if not holds:
            raise CheckpointError(complaint)
    own = set(c.layer_types[: c.first_shared_layer])
    if not set(c.layer_types[c.first_shared_layer :]) <= own:
        raise CheckpointError(
            f"num_kv_shared_layers {c.num_kv_shared_layers} leaves a layer type without a layer "
            "that makes its keys and values; share fewer layers"
        )


def _rope_to_dict(rope: Rope) -> dict[str, Any]:
    data: dict[str, Any] = {"rope_type": rope.kind, "rope_theta": rope.theta}
    if rope.kind == "proportional":
        data["partial_rotary_factor"] = rope.partial_rotary_factor
    return data


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file of a model's folder. Raises `CheckpointError`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: is this a Hugging Face folder?") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a JSON object")
    return data
