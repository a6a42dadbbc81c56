"""The shape of a model, read from and written to a Hugging Face `config.json`.

The format is Gemma 4's text model without per-layer embeddings (`model_type: gemma4_text`), which
transformers, llama.cpp and vLLM load unchanged. A config that asks for anything the engine does
not compute is refused with the reason, never served wrongly. Called by `ref`, `model` and the
training stack; knows nothing of weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from troupe.engine.errors import CheckpointError

LayerType = Literal["sliding_attention", "full_attention"]
SLIDING: LayerType = "sliding_attention"
FULL: LayerType = "full_attention"

_MODEL_TYPES = ("gemma4_text", "gemma4_unified_text")

# Keys that other writers put into `config.json` and that change no number computed here.
_IGNORED = frozenset(
    [
        "_name_or_path",
        "architectures",
        "attention_dropout",
        "dtype",
        "initializer_range",
        "model_type",
        "moe_intermediate_size",
        "num_experts",
        "output_attentions",
        "output_hidden_states",
        "per_layer_config",
        "return_dict",
        "top_k_experts",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "vocab_size_per_layer_input",
        "served_model_name",
    ]
)

# Features of the format that are not computed here, with the values that leave them off.
_MUST_BE: dict[str, tuple[Any, ...]] = {
    "attention_bias": (False, None),
    "attention_k_eq_v": (False, None),
    "enable_moe_block": (False, None),
    "hidden_activation": ("gelu_pytorch_tanh",),
    "hidden_size_per_layer_input": (0, None),
    "num_global_key_value_heads": (None,),
    "quantization_config": (None,),
    "use_bidirectional_attention": (None, "vision"),
}


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary position embedding of one layer type.

    `proportional` (Gemma 4) rotates the first `partial_rotary_factor` of the frequencies and
    leaves the others still, but spaces the frequencies over the whole head.
    """

    theta: float
    kind: Literal["default", "proportional"] = "default"
    partial_rotary_factor: float = 1.0

    def rotated(self, head_dim: int) -> int:
        """How many of the `head_dim // 2` frequencies turn; the rest have frequency zero."""
        if self.kind == "default":
            return head_dim // 2
        return int(self.partial_rotary_factor * head_dim // 2)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Every number that decides what the model computes. Field names are Hugging Face's."""

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
        return _from_dict(data, where)

    @classmethod
    def load(cls, folder: Path) -> ModelConfig:
        """Read `folder/config.json`, and the end tokens of `folder/generation_config.json` where
        there is one. Raises `CheckpointError`."""
        data = dict(_read_json(folder / "config.json"))
        generation = folder / "generation_config.json"
        if generation.exists():
            eos = _read_json(generation).get("eos_token_id")
            if eos is not None:
                data["eos_token_id"] = eos
        return cls.from_dict(data, str(folder / "config.json"))

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` that transformers, llama.cpp and vLLM read."""
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
        (c.layer_types[-1:] == (FULL,), f"the last of layer_types must be {FULL}"),
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


def _from_dict(data: Mapping[str, Any], where: str) -> ModelConfig:
    model_type = data.get("model_type")
    if model_type not in _MODEL_TYPES:
        raise CheckpointError(
            f"{where}: model_type is {model_type!r}; this engine serves {', '.join(_MODEL_TYPES)}"
        )
    for key, allowed in _MUST_BE.items():
        if key in data and data[key] not in allowed:
            raise CheckpointError(
                f"{where}: {key} is {data[key]!r}, which this engine does not compute; "
                f"it serves models with {key} = {allowed[0]!r}"
            )
    plain = {
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "sliding_window",
        "max_position_embeddings", "num_kv_shared_layers", "rms_norm_eps", "tie_word_embeddings",
        "final_logit_softcapping", "use_double_wide_mlp", "pad_token_id", "bos_token_id",
    }  # fmt: skip
    special = {"layer_types", "rope_parameters", "eos_token_id", "global_head_dim"}
    unknown = set(data) - plain - special - _IGNORED - set(_MUST_BE)
    if unknown:
        raise CheckpointError(
            f"{where}: unknown keys {sorted(unknown)}: they may change what the model computes"
        )
    values: dict[str, Any] = {key: data[key] for key in plain if key in data}
    values["global_head_dim"] = _global_head_dim(data, where)
    values["layer_types"] = tuple(data.get("layer_types") or ())
    ropes = data.get("rope_parameters") or {}
    if SLIDING in ropes:
        values["rope_sliding"] = _rope_from_dict(ropes[SLIDING], where)
    if FULL in ropes:
        values["rope_full"] = _rope_from_dict(ropes[FULL], where)
    if "eos_token_id" in data:
        values["eos_token_ids"] = _eos_ids(data["eos_token_id"], where)
    _check_types(values, where)
    try:
        return ModelConfig(**values)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    except TypeError as error:
        raise CheckpointError(f"{where}: a required key is missing: {error}") from error


def _check_types(values: Mapping[str, Any], where: str) -> None:
    """JSON may hold anything; sizes must be integers and switches booleans."""
    floats = {"rms_norm_eps", "final_logit_softcapping"}
    booleans = {"tie_word_embeddings", "use_double_wide_mlp"}
    optional = {"final_logit_softcapping", "pad_token_id", "bos_token_id"}
    structured = {"layer_types", "rope_sliding", "rope_full", "eos_token_ids"}
    for key, value in values.items():
        if key in structured or (key in optional and value is None):
            continue
        wanted: tuple[type, ...] = (int,)
        if key in floats:
            wanted = (int, float)
        elif key in booleans:
            wanted = (bool,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and key not in booleans):
            raise CheckpointError(f"{where}: {key} has the wrong type: {value!r}")


def _global_head_dim(data: Mapping[str, Any], where: str) -> Any:
    """transformers writes either `global_head_dim` or, from 5.20 on, `per_layer_config`."""
    if data.get("global_head_dim") is not None:
        return data["global_head_dim"]
    overrides = data.get("per_layer_config") or {}
    dims = {override.get("head_dim") for override in overrides.values()}
    extra = {key for override in overrides.values() for key in override} - {"head_dim"}
    if extra or len(dims) > 1:
        raise CheckpointError(
            f"{where}: per_layer_config may only set one head_dim for all full-attention layers"
        )
    return dims.pop() if dims else 512  # the format's default


def _rope_to_dict(rope: Rope) -> dict[str, Any]:
    data: dict[str, Any] = {"rope_type": rope.kind, "rope_theta": rope.theta}
    if rope.kind == "proportional":
        data["partial_rotary_factor"] = rope.partial_rotary_factor
    return data


def _rope_from_dict(data: Mapping[str, Any], where: str) -> Rope:
    kind = data.get("rope_type", "default")
    if kind not in ("default", "proportional") or data.get("factor", 1.0) != 1.0:
        raise CheckpointError(
            f"{where}: rope_type {kind!r} with factor {data.get('factor', 1.0)} is not computed "
            "here; this engine serves 'default' and 'proportional' with factor 1"
        )
    if "rope_theta" not in data:
        raise CheckpointError(f"{where}: rope_parameters needs rope_theta")
    partial = float(data.get("partial_rotary_factor", 1.0))
    if kind == "default" and partial != 1.0:
        raise CheckpointError(f"{where}: partial_rotary_factor needs rope_type 'proportional'")
    return Rope(float(data["rope_theta"]), kind, partial)


def _eos_ids(value: Any, where: str) -> tuple[int, ...]:
    ids = () if value is None else tuple(value) if isinstance(value, list) else (value,)
    if not all(type(i) is int and i >= 0 for i in ids):
        raise CheckpointError(
            f"{where}: eos_token_id must be an id or a list of ids, not {value!r}"
        )
    return ids


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist: is this a Hugging Face folder?") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a JSON object")
    return data
