"""Families of models: their `config.json`, as Hugging Face writes it, read into one shape.

Each family says what its files leave unsaid, which of its features are computed here, and which of
the engine's switches (norms, biases, activation) it sets. A config that asks for anything the
engine does not compute is refused with the reason, never served wrongly. Pure; called by
`config.py`, which makes a `ModelConfig` of the fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from troupe.engine.config_keys import HARMLESS
from troupe.engine.errors import CheckpointError
from troupe.engine.layers import FULL, SLIDING, LayerType
from troupe.engine.rope_keys import rope_of

Fields = dict[str, Any]  # of `ModelConfig`

_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
          "num_attention_heads", "num_key_value_heads", "head_dim",
          "max_position_embeddings")  # fmt: skip
_PLAIN = (*_SIZES, "rms_norm_eps", "tie_word_embeddings", "pad_token_id", "bos_token_id",
          "final_logit_softcapping")  # fmt: skip
_ROPE = ("rope_parameters", "rope_scaling", "rope_theta")
_OFF = (None, False)


@dataclass(frozen=True, slots=True)
class Family:
    """One family: how its `config.json` is read."""

    name: str
    model_types: tuple[str, ...]
    said: str  # for people
    read: Callable[[Mapping[str, Any], str], Fields]  # what is the family's own
    defaults: Mapping[str, Any] = field(default_factory=dict)  # where the file is silent
    must_be: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    own_keys: frozenset[str] = frozenset()  # that `read` looks at


def fields(data: Mapping[str, Any], where: str) -> Fields:
    """The fields of a `ModelConfig` from a parsed `config.json`. Raises `CheckpointError` that
    names `where` and the key at fault."""
    data = _text_part(data)
    family = _family_of(data, where)
    for key, allowed in {"quantization_config": (None,), **family.must_be}.items():
        if key in data and data[key] not in allowed:
            raise CheckpointError(
                f"{where}: {key} is {data[key]!r}, which this engine does not compute; it serves "
                f"{family.said} with {key} = {allowed[0]!r}"
            )
    read = {*_PLAIN, "eos_token_id", *family.own_keys}
    unknown = set(data) - read - HARMLESS - set(family.must_be)
    if unknown:
        raise CheckpointError(
            f"{where}: unknown keys {sorted(unknown)}: they may change what the model computes"
        )
    data = {**family.defaults, **data}
    _check_types(data, where)
    values: Fields = {"family": family.name}
    values |= {key: data[key] for key in _PLAIN if key in data}
    if "eos_token_id" in data:
        values["eos_token_ids"] = _eos_ids(data["eos_token_id"], where)
    missing = [key for key in _SIZES if key not in values and key not in ("head_dim",
               "num_key_value_heads")]  # fmt: skip
    if missing:
        raise CheckpointError(f"{where}: a required key is missing: {', '.join(missing)}")
    if values.get("num_attention_heads", 0) < 1:
        raise CheckpointError(f"{where}: num_attention_heads must be at least 1")
    return values | family.read({**data, **values}, where)


def _text_part(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text model of one that also sees or hears; any other as it is."""
    text = data.get("text_config")
    if data.get("model_type") not in _WITH_TEXT or not isinstance(text, Mapping):
        return data
    shared = ("eos_token_id", "bos_token_id", "pad_token_id", "quantization_config")
    outer = {key: data[key] for key in shared if data.get(key) is not None}
    if "tie_word_embeddings" in data:
        outer["tie_word_embeddings"] = data["tie_word_embeddings"]
    return {"model_type": _WITH_TEXT[str(data["model_type"])], **text, **outer}


def _family_of(data: Mapping[str, Any], where: str) -> Family:
    model_type = data.get("model_type")
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    served = sorted({kind for family in FAMILIES for kind in family.model_types} | set(_WITH_TEXT))
    raise CheckpointError(
        f"{where}: model_type is {model_type!r}; this engine serves {', '.join(served)}"
    )


def _like_llama(data: Mapping[str, Any], where: str) -> Fields:
    """What Llama, Mistral and Qwen have in common: a norm before each block, silu, one rope."""
    heads = data["num_attention_heads"]
    head_dim = data.get("head_dim") or data["hidden_size"] // heads
    kv_heads = data.get("num_key_value_heads") or heads
    rope, context = rope_of(data, where, data["max_position_embeddings"])
    return {
        "activation": "silu",
        "attention_scale": head_dim**-0.5,
        "scale_embedding": False,
        "sandwich_norms": False,
        "layer_scalar": False,
        "qk_norm": False,
        "v_norm": False,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "global_head_dim": head_dim,
        "rope_sliding": rope,
        "rope_full": rope,
        "max_position_embeddings": context,
        **_windows((FULL,) * data["num_hidden_layers"], None, context),
    }


def _windows(types: tuple[LayerType, ...], window: int | None, context: int) -> Fields:
    """Layer types with their window; `context` stands in where no layer has one."""
    if window is None:
        return {"layer_types": (FULL,) * len(types), "sliding_window": context}
    return {"layer_types": types, "sliding_window": window}


def _llama(data: Mapping[str, Any], where: str) -> Fields:
    bias = bool(data.get("attention_bias"))
    biases = {"qkv_bias": bias, "out_bias": bias, "mlp_bias": bool(data.get("mlp_bias"))}
    return _like_llama(data, where) | biases


def _mistral(data: Mapping[str, Any], where: str) -> Fields:
    values = _like_llama(data, where)
    types = (SLIDING,) * data["num_hidden_layers"]
    window = data.get("sliding_window")
    return values | _windows(types, window, values["max_position_embeddings"])


def _qwen(data: Mapping[str, Any], where: str) -> Fields:
    values = _like_llama(data, where)
    layers, window = data["num_hidden_layers"], data.get("sliding_window")
    if not data.get("use_sliding_window"):
        window = None
    first = data.get("max_window_layers", 28)
    types = tuple(data.get("layer_types") or (SLIDING if i >= first else FULL
                                              for i in range(layers)))  # fmt: skip
    return values | _windows(types, window, values["max_position_embeddings"])


def _qwen2(data: Mapping[str, Any], where: str) -> Fields:
    return _qwen(data, where) | {"qkv_bias": True}


def _qwen3(data: Mapping[str, Any], where: str) -> Fields:
    bias = bool(data.get("attention_bias"))
    return _qwen(data, where) | {"qk_norm": True, "qkv_bias": bias, "out_bias": bias}


def _gemma3(data: Mapping[str, Any], where: str) -> Fields:
    pattern = data.get("sliding_window_pattern", data.get("_sliding_window_pattern")) or 6
    types = data.get("layer_types") or (
        SLIDING if (i + 1) % pattern else FULL for i in range(data["num_hidden_layers"])
    )
    said = data.get("rope_parameters") or {}
    local = said.get(SLIDING) or {"rope_theta": data.get("rope_local_base_freq", 10_000.0)}
    whole = said.get(FULL) or {"rope_theta": data.get("rope_theta", 1_000_000.0),
                               **(data.get("rope_scaling") or {})}  # fmt: skip
    context = data["max_position_embeddings"]
    rope_full, context = rope_of({"rope_parameters": {"rope_theta": 1_000_000.0, **whole}},
                                 where, context)  # fmt: skip
    rope_sliding, context = rope_of({"rope_parameters": {"rope_theta": 10_000.0, **local}},
                                    where, context)  # fmt: skip
    bias = bool(data.get("attention_bias"))
    return {
        "activation": "gelu_pytorch_tanh",
        "attention_scale": float(data["query_pre_attn_scalar"]) ** -0.5,
        "norm_offset": 1.0,
        "layer_scalar": False,
        "v_norm": False,
        "qkv_bias": bias,
        "out_bias": bias,
        "global_head_dim": data["head_dim"],
        "rope_sliding": rope_sliding,
        "rope_full": rope_full,
        "max_position_embeddings": context,
        **_windows(tuple(types), data["sliding_window"], context),
    }


def _gemma4(data: Mapping[str, Any], where: str) -> Fields:
    values: Fields = {
        "global_head_dim": _global_head_dim(data, where),
        "layer_types": tuple(data.get("layer_types") or ()),
    }
    values |= {key: data[key] for key in ("sliding_window", "num_kv_shared_layers",
               "use_double_wide_mlp") if key in data}  # fmt: skip
    ropes = data.get("rope_parameters") or {}
    for kind, name in ((SLIDING, "rope_sliding"), (FULL, "rope_full")):
        if kind in ropes:
            values[name], _ = rope_of({"rope_parameters": ropes[kind]}, where,
                                      data["max_position_embeddings"])  # fmt: skip
    return values


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


_INTEGERS = frozenset(_SIZES) | {"sliding_window", "num_kv_shared_layers", "max_window_layers",
                                 "global_head_dim", "sliding_window_pattern"}  # fmt: skip
_NUMBERS = frozenset({"rms_norm_eps", "final_logit_softcapping", "rope_theta",
                      "query_pre_attn_scalar", "rope_local_base_freq"})  # fmt: skip
_SWITCHES = frozenset({"tie_word_embeddings", "use_double_wide_mlp", "attention_bias", "mlp_bias",
                       "use_sliding_window"})  # fmt: skip
_MAY_BE_NULL = frozenset({"final_logit_softcapping", "sliding_window", "head_dim", "rope_theta",
                          "num_key_value_heads", "global_head_dim", "attention_bias"})  # fmt: skip


def _check_types(data: Mapping[str, Any], where: str) -> None:
    """JSON may hold anything; sizes must be integers, switches booleans, and so on."""
    for key, value in data.items():
        if value is None and (key in _MAY_BE_NULL or key.endswith("_token_id")):
            continue
        right = True
        if key in _INTEGERS or key in ("pad_token_id", "bos_token_id"):
            right = type(value) is int
        elif key in _NUMBERS:
            right = type(value) in (int, float) and math.isfinite(value) and value > 0
        elif key in _SWITCHES:
            right = type(value) is bool
        elif key in ("rope_parameters", "rope_scaling"):
            right = value is None or isinstance(value, Mapping)
        elif key == "layer_types":
            right = value is None or isinstance(value, list | tuple)
        if not right:
            raise CheckpointError(f"{where}: {key} has the wrong type or value: {value!r}")


def _eos_ids(value: Any, where: str) -> tuple[int, ...]:
    ids = () if value is None else tuple(value) if isinstance(value, list) else (value,)
    if not all(type(i) is int and i >= 0 for i in ids):
        raise CheckpointError(
            f"{where}: eos_token_id must be an id or a list of ids, not {value!r}"
        )
    return ids


_LLAMA_DEFAULTS: Mapping[str, Any] = {
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "rope_theta": 10_000.0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
}  # fmt: skip
_QWEN_DEFAULTS = {**_LLAMA_DEFAULTS, "max_position_embeddings": 32_768, "bos_token_id": None,
                  "eos_token_id": None, "num_key_value_heads": 32,
                  "sliding_window": 4096}  # fmt: skip
_QWEN_KEYS = frozenset({*_ROPE, "sliding_window", "use_sliding_window", "max_window_layers",
                        "layer_types"})  # fmt: skip
_LLAMA_MUST_BE: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"), "partial_rotary_factor": (1.0, None),
    "final_logit_softcapping": (None,),
}  # fmt: skip

FAMILIES = (
    Family("gemma4", ("gemma4_text", "gemma4_unified_text"), "Gemma 4 text models", _gemma4,
           must_be={
               "attention_bias": _OFF[::-1], "attention_k_eq_v": _OFF[::-1],
               "enable_moe_block": _OFF[::-1], "hidden_activation": ("gelu_pytorch_tanh",),
               "hidden_size_per_layer_input": (0, None), "num_global_key_value_heads": (None,),
               "use_bidirectional_attention": (None, "vision"),
           },
           own_keys=frozenset({"global_head_dim", "layer_types", "rope_parameters",
                               "sliding_window", "num_kv_shared_layers", "use_double_wide_mlp",
                               "per_layer_config"})),
    Family("gemma3", ("gemma3_text",), "Gemma 3 text models", _gemma3,
           defaults={
               "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216,
               "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
               "head_dim": 256, "max_position_embeddings": 131_072, "rms_norm_eps": 1e-6,
               "tie_word_embeddings": True, "query_pre_attn_scalar": 256, "sliding_window": 4096,
               "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1,
           },
           must_be={"hidden_activation": ("gelu_pytorch_tanh",), "attn_logit_softcapping": (None,),
                    "use_bidirectional_attention": _OFF[::-1]},
           own_keys=frozenset({*_ROPE, "attention_bias", "query_pre_attn_scalar", "layer_types",
                               "sliding_window", "sliding_window_pattern", "rope_local_base_freq",
                               "_sliding_window_pattern"})),
    Family("llama", ("llama",), "Llama models", _llama, _LLAMA_DEFAULTS, _LLAMA_MUST_BE,
           frozenset({*_ROPE, "attention_bias", "mlp_bias"})),
    Family("mistral", ("mistral",), "Mistral models", _mistral,
           {**_LLAMA_DEFAULTS, "max_position_embeddings": 131_072, "num_key_value_heads": 8,
            "sliding_window": 4096},
           _LLAMA_MUST_BE, frozenset({*_ROPE, "sliding_window"})),
    Family("qwen2", ("qwen2",), "Qwen 2 models", _qwen2, _QWEN_DEFAULTS, _LLAMA_MUST_BE,
           _QWEN_KEYS),
    Family("qwen3", ("qwen3",), "Qwen 3 models", _qwen3, {**_QWEN_DEFAULTS, "head_dim": 128},
           _LLAMA_MUST_BE, _QWEN_KEYS | {"attention_bias"}),
)  # fmt: skip

# Models that also see or hear: their text part is served.
_WITH_TEXT = {"gemma3": "gemma3_text", "gemma4": "gemma4_text",
              "gemma4_unified": "gemma4_unified_text"}  # fmt: skip
