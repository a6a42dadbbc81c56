"""Rotary position embedding as `config.json` tells it: `rope_parameters` of today's files, or
`rope_theta` and `rope_scaling` of older ones. Pure; called by `families.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from troupe.engine.errors import CheckpointError
from troupe.engine.layers import Rope

_SERVED = ("default", "proportional", "linear", "llama3", "yarn", "dynamic")
_KEYS = frozenset([
    "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "low_freq_factor",
    "high_freq_factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "truncate",
    "attention_factor", "mscale", "mscale_all_dim",
])  # fmt: skip


def rope_of(data: Mapping[str, Any], where: str, context: int) -> tuple[Rope, int]:
    """The embedding, and how many positions it serves, of a model whose `config.json` says
    `context`.

    `dynamic` changes the frequencies, and so every key, once a text outgrows the context; within
    it, it changes nothing, and that is what is served. `yarn` serves `factor` times the original
    context, whichever of the two a file gives as its own. Raises `CheckpointError`.
    """
    said = {"rope_theta": data.get("rope_theta")} | (
        dict(data.get("rope_parameters") or {}) or dict(data.get("rope_scaling") or {})
    )
    if said.get("rope_theta") is None:
        if data.get("rope_theta") is None:
            raise CheckpointError(f"{where}: rope_parameters needs rope_theta")
        said["rope_theta"] = data["rope_theta"]
    kind = said.get("rope_type", said.get("type", "default"))
    unknown = set(said) - _KEYS
    if unknown:
        raise CheckpointError(f"{where}: unknown keys {sorted(unknown)} of rope_parameters")
    if kind not in _SERVED:
        raise CheckpointError(
            f"{where}: rope_type {kind!r} is not computed here; this engine serves "
            f"{', '.join(_SERVED)}"
        )
    theta = _number(said, "rope_theta", where)
    partial = _number(said, "partial_rotary_factor", where, 1.0)
    if kind == "proportional":
        if _number(said, "factor", where, 1.0) != 1.0:
            raise CheckpointError(f"{where}: rope_type 'proportional' needs factor 1")
        return Rope(theta, "proportional", partial), context
    if partial != 1.0:
        raise CheckpointError(f"{where}: partial_rotary_factor needs rope_type 'proportional'")
    if kind == "linear":
        return Rope(theta, "linear", factor=_number(said, "factor", where)), context
    if kind == "llama3":
        low = _number(said, "low_freq_factor", where)
        high = _number(said, "high_freq_factor", where)
        if high <= low:
            raise CheckpointError(f"{where}: high_freq_factor must be above low_freq_factor")
        factor, original = _number(said, "factor", where), _original(said, where, context)
        return Rope(theta, "llama3", 1.0, factor, original, low, high), context
    if kind == "yarn":
        rope = _yarn(said, theta, where, context)
        return rope, max(context, int(rope.factor * rope.original_context))
    return Rope(theta), context  # `default`, and `dynamic` within its context


def _yarn(said: Mapping[str, Any], theta: float, where: str, context: int) -> Rope:
    factor = _number(said, "factor", where)
    scale = 0.1 * math.log(factor) + 1.0 if factor > 1.0 else 1.0
    if said.get("mscale") and said.get("mscale_all_dim"):
        over, under = (_number(said, key, where) for key in ("mscale", "mscale_all_dim"))
        scale = (1.0 + over * (scale - 1.0)) / (1.0 + under * (scale - 1.0))
    return Rope(
        theta,
        "yarn",
        factor=factor,
        original_context=_original(said, where, context),
        beta_fast=_number(said, "beta_fast", where, 32.0),
        beta_slow=_number(said, "beta_slow", where, 1.0),
        truncate=bool(said.get("truncate", True)),
        attention_factor=_number(said, "attention_factor", where, scale),
    )


def _number(said: Mapping[str, Any], key: str, where: str, otherwise: float | None = None) -> float:
    value: Any = said.get(key)
    if value is None:
        value = otherwise
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
        raise CheckpointError(
            f"{where}: {key} of rope_parameters must be a number above 0, not {value!r}"
        )
    return float(value)


def _original(said: Mapping[str, Any], where: str, context: int) -> int:
    """Tokens that the model was trained on first; what a file leaves out is `context`."""
    return int(_number(said, "original_max_position_embeddings", where, context))
