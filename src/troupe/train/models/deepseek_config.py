"""The shape of a DeepSeek-V3-class model, read from a Hugging Face `config.json`.

A config that asks for what is not computed is refused with the reason. Called by `deepseek.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from troupe.engine.config import read_json
from troupe.engine.errors import CheckpointError
from troupe.engine.layers import Rope
from troupe.engine.rope_keys import rope_of

MODEL_TYPE = "deepseek_v3"

_INTEGERS = (
    "vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size",
    "num_hidden_layers", "num_attention_heads", "n_shared_experts", "n_routed_experts",
    "num_experts_per_tok", "n_group", "topk_group", "first_k_dense_replace", "kv_lora_rank",
    "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim",
)  # fmt: skip
_MUST_BE: Mapping[str, tuple[Any, ...]] = {
    "attention_bias": (False, None),
    "hidden_act": ("silu", None),
    "topk_method": ("noaux_tc", None),
    "scoring_func": ("sigmoid", None),
    "quantization_config": (None,),
    "tie_word_embeddings": (False, None),
    "moe_layer_freq": (1, None),
}


@dataclass(frozen=True, slots=True)
class DeepSeekConfig:
    """Every number that decides what the model computes. Field names are Hugging Face's."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    moe_intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    n_shared_experts: int
    n_routed_experts: int
    num_experts_per_tok: int
    n_group: int
    topk_group: int
    first_k_dense_replace: int  # layers before this one have no experts
    kv_lora_rank: int
    qk_rope_head_dim: int
    qk_nope_head_dim: int
    v_head_dim: int
    max_position_embeddings: int
    rope: Rope
    q_lora_rank: int | None = None
    attention_scale: float = 1.0
    routed_scaling_factor: float = 1.0
    norm_topk_prob: bool = True
    rope_interleave: bool = True
    rms_norm_eps: float = 1e-6

    @property
    def qk_head_dim(self) -> int:
        """Size of a query's and a key's head: the part without positions, then the rotated one."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "config.json") -> DeepSeekConfig:
        """Read a parsed `config.json`. Raises `CheckpointError` naming `where` and the key."""
        return _from_dict(data, where)

    @classmethod
    def load(cls, folder: Path) -> DeepSeekConfig:
        """Raises `CheckpointError`."""
        path = folder / "config.json"
        return _from_dict(read_json(path), str(path))


def _from_dict(data: Mapping[str, Any], where: str) -> DeepSeekConfig:
    if data.get("model_type") != MODEL_TYPE:
        raise CheckpointError(f"{where}: model_type is {data.get('model_type')!r}")
    for key, allowed in _MUST_BE.items():
        if data.get(key) not in allowed:
            raise CheckpointError(f"{where}: {key} is {data[key]!r}, which is not computed here")
    sizes: dict[str, int] = {}
    for key in (*_INTEGERS, "max_position_embeddings"):
        value = data.get(key)
        least = 0 if key in ("first_k_dense_replace", "n_shared_experts") else 1
        if type(value) is not int or value < least:
            raise CheckpointError(f"{where}: {key} must be an integer from {least}, not {value!r}")
        sizes[key] = value
    context = sizes.pop("max_position_embeddings")
    rope, context = rope_of(data, where, context)
    config = DeepSeekConfig(
        **sizes,
        max_position_embeddings=context,
        rope=rope,
        q_lora_rank=data.get("q_lora_rank"),
        attention_scale=_scale(data, sizes["qk_nope_head_dim"] + sizes["qk_rope_head_dim"]),
        routed_scaling_factor=float(data.get("routed_scaling_factor", 2.5)),
        norm_topk_prob=bool(data.get("norm_topk_prob", True)),
        rope_interleave=bool(data.get("rope_interleave", True)),
        rms_norm_eps=float(data.get("rms_norm_eps", 1e-6)),
    )
    _check(config, where)
    return config


def _scale(data: Mapping[str, Any], head_dim: int) -> float:
    """Softmax scale; a stretched rope raises it (Peng et al. 2023, YaRN, section 3.4)."""
    scale = 1.0 / math.sqrt(head_dim)
    said = data.get("rope_parameters") or data.get("rope_scaling") or {}
    over, factor = said.get("mscale_all_dim"), said.get("factor", 1.0)
    if not over or factor <= 1.0:
        return scale
    stretched = 0.1 * float(over) * math.log(factor) + 1.0
    return scale * stretched * stretched


def _check(c: DeepSeekConfig, where: str) -> None:
    rules = [
        (c.n_routed_experts % c.n_group == 0, "n_routed_experts must be a multiple of n_group"),
        (c.n_routed_experts // c.n_group >= 2, "a group needs two experts to be ranked by"),
        (c.topk_group <= c.n_group, "topk_group must not be above n_group"),
        (c.num_experts_per_tok <= c.n_routed_experts // c.n_group * c.topk_group,
         "num_experts_per_tok must not be above the experts of the chosen groups"),
        (c.qk_rope_head_dim % 2 == 0, "qk_rope_head_dim must be even"),
        (c.q_lora_rank is None or c.q_lora_rank > 0, "q_lora_rank must be above 0, or null"),
    ]  # fmt: skip
    for holds, complaint in rules:
        if not holds:
            raise CheckpointError(f"{where}: {complaint}")
