"""A whole model packed: which arrays the operator reads, and how weights fill them.

Filling takes a few rows of one tensor at a time, wherever the arrays lie: in memory, or in a file
that is mapped into it. Pure but for what it is given. Called by `packfile.py` and by tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from troupe.engine.config import ModelConfig
from troupe.engine.native import library
from troupe.engine.native.pack import LANES, QUAD, Packed, bfloat16, pack
from troupe.engine.steps import Floats

Arrays = Mapping[str, NDArray[Any]]
PIECE = 2**19  # weights that are unpacked at a time


class Tensors(Protocol):
    """Where weights come from: a folder's files, or memory."""

    def __contains__(self, name: object) -> bool: ...

    def rows(self, name: str, first: int, last: int) -> Floats:
        """Rows `first` to `last - 1` of a tensor, float32."""
        ...


class InMemory(dict[str, Floats]):
    """Weights that are in memory already."""

    def rows(self, name: str, first: int, last: int) -> Floats:
        """Rows `first` to `last - 1` of a tensor."""
        return self[name][first:last]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Tensors of one input, one under the other, as int8 in blocks with a scale an output."""

    sources: tuple[tuple[str, int], ...]  # name and outputs
    inputs: int

    @property
    def outputs(self) -> int:
        return sum(outputs for _, outputs in self.sources)


@dataclass(frozen=True, slots=True)
class Vector:
    """Tensors one after the other as float32, `offset` added; ones where there is no tensor."""

    sources: tuple[tuple[str, int], ...]  # name and size
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the operator reads of a model, by name."""

    matrices: Mapping[str, Matrix]
    vectors: Mapping[str, Vector]
    embedding: tuple[int, int]  # vocabulary, hidden: bfloat16

    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Every array's dtype and shape."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {"embedding": ("<u2", self.embedding)}
        for name, matrix in self.matrices.items():
            blocks, quads = -(-matrix.outputs // LANES), -(-matrix.inputs // QUAD)
            found[f"{name}/blocks"] = ("|u1", (blocks, quads, LANES, QUAD))
            found[f"{name}/scale"] = ("<f4", (matrix.outputs,))
        for name, vector in self.vectors.items():
            found[name] = ("<f4", (sum(size for _, size in vector.sources),))
        return found


def plan(config: ModelConfig) -> Plan:
    """What the operator reads of a model of this shape."""
    hidden, vocabulary = config.hidden_size, config.vocab_size
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    matrices = {"head": Matrix(((head, vocabulary),), hidden)}
    vectors = {"norm": Vector((("model.norm.weight", hidden),), config.norm_offset)}
    for layer in range(config.num_hidden_layers):
        _plan_layer(config, layer, matrices, vectors)
    return Plan(matrices, vectors, (vocabulary, hidden))


def _plan_layer(
    config: ModelConfig, layer: int, matrices: dict[str, Matrix], vectors: dict[str, Vector]
) -> None:
    hidden, dim, inner = config.hidden_size, config.dim(layer), config.mlp_size(layer)
    queries, made = config.num_attention_heads * dim, config.num_key_value_heads * dim
    makes_kv = layer < config.first_shared_layer
    sandwich = config.sandwich_norms

    def matrix(name: str, inputs: int, biased: bool, **outputs: int) -> None:
        parts = {f"model.layers.{layer}.{p.replace('__', '.')}": n for p, n in outputs.items()}
        matrices[f"{layer}.{name}"] = Matrix(
            tuple((f"{part}.weight", n) for part, n in parts.items()), inputs
        )
        if biased:
            vectors[f"{layer}.{name}_bias"] = Vector(
                tuple((f"{part}.bias", n) for part, n in parts.items())
            )

    def norm(name: str, tensor: str, size: int = hidden) -> None:
        full = f"model.layers.{layer}.{tensor}.weight"
        vectors[f"{layer}.{name}"] = Vector(((full, size),), config.norm_offset)

    keys_values = {"self_attn__k_proj": made, "self_attn__v_proj": made} if makes_kv else {}
    matrix("qkv", hidden, config.qkv_bias, self_attn__q_proj=queries, **keys_values)
    matrix("out", queries, config.out_bias, self_attn__o_proj=hidden)
    matrix("gate_up", hidden, config.mlp_bias, mlp__gate_proj=inner, mlp__up_proj=inner)
    matrix("down", inner, config.mlp_bias, mlp__down_proj=hidden)
    norm("before_attention", "input_layernorm")
    norm("before_mlp", f"{'pre_feedforward' if sandwich else 'post_attention'}_layernorm")
    if sandwich:
        norm("after_attention", "post_attention_layernorm")
        norm("after_mlp", "post_feedforward_layernorm")
    if config.qk_norm:
        norm("query_norm", "self_attn.q_norm", dim)
        if makes_kv:
            norm("key_norm", "self_attn.k_norm", dim)
    vectors[f"{layer}.scalar"] = Vector(((f"model.layers.{layer}.layer_scalar", 1),))


def fill(plan: Plan, weights: Tensors, arrays: Arrays) -> None:
    """Write every array of the plan, from a few rows of weights at a time."""
    for name, matrix in plan.matrices.items():
        _fill_matrix(matrix, weights, arrays[f"{name}/blocks"], arrays[f"{name}/scale"])
    for name, vector in plan.vectors.items():
        parts = [
            weights.rows(tensor, 0, size) if tensor in weights else np.ones(size, np.float32)
            for tensor, size in vector.sources
        ]
        arrays[name][:] = np.concatenate(parts) + np.float32(vector.offset)
    vocabulary, hidden = plan.embedding
    step = max(1, PIECE // hidden)
    for first in range(0, vocabulary, step):
        last = min(first + step, vocabulary)
        rows = weights.rows("model.embed_tokens.weight", first, last)
        arrays["embedding"][first:last] = bfloat16(rows)


def _fill_matrix(
    matrix: Matrix, weights: Tensors, blocks: NDArray[Any], scale: NDArray[Any]
) -> None:
    step = max(1, PIECE // matrix.inputs // LANES) * LANES  # whole blocks of outputs
    for first in range(0, matrix.outputs, step):
        last, pieces, start = min(first + step, matrix.outputs), [], 0
        for name, outputs in matrix.sources:
            low, high = max(first - start, 0), min(last - start, outputs)
            if low < high:
                pieces.append(weights.rows(name, low, high))
            start += outputs
        packed = pack(*pieces)
        blocks[first // LANES : -(-last // LANES)] = packed.blocks
        scale[first:last] = packed.scale


class PackedModel:
    """The arrays that the operator reads of one model; it must outlive what reads them."""

    def __init__(self, plan: Plan, arrays: Arrays) -> None:
        self._plan, self._arrays = plan, arrays

    @classmethod
    def in_memory(cls, config: ModelConfig, weights: Tensors) -> PackedModel:
        """Pack into memory of this process."""
        planned = plan(config)
        arrays = {name: np.empty(shape, kind) for name, (kind, shape) in planned.arrays().items()}
        fill(planned, weights, arrays)
        return cls(planned, arrays)

    def matrix(self, name: str) -> library.Matrix:
        """A matrix as the operator is given it."""
        return Packed(self._arrays[f"{name}/blocks"], self._arrays[f"{name}/scale"]).matrix()

    def address(self, name: str) -> int | None:
        """Where a vector lies; None for one that the model does not have."""
        array = self._arrays.get(name)
        return None if array is None else array.ctypes.data

    def number(self, name: str) -> float:
        """The one number of a vector."""
        return float(self._arrays[name][0])
