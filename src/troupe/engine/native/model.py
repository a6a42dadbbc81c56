"""A checkpoint run by the CPU operator: int8 weights, activations, keys and values.

A row's result depends on its own sequence's tokens and on nothing else: integer products are exact,
and every sum of floats goes in an order that the row alone decides. Called by the worker; held to
`ref.py` by tests.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from troupe.engine.config import SLIDING, ModelConfig, Rope
from troupe.engine.errors import CheckpointError, EngineError
from troupe.engine.native import library
from troupe.engine.native.arena import NativeArena, page_stride
from troupe.engine.native.packfile import PackCache, packed
from troupe.engine.native.packing import PackedModel
from troupe.engine.steps import MAX_ROWS, PAGE, Floats, Span
from troupe.engine.weights import Weights

_MATRICES = ("qkv", "out", "gate_up", "down")
_VECTORS = (
    "qkv_bias", "out_bias", "gate_up_bias", "down_bias", "query_norm", "key_norm",
    "before_attention", "after_attention", "before_mlp", "after_mlp",
)  # fmt: skip
WIDEST_HEAD = 1024
MOST_HEADS = 64


class NativeModel:
    """A model ready to run. Not thread-safe: one worker calls it."""

    def __init__(
        self, config: ModelConfig, weights: PackedModel, context: int, threads: int = 1
    ) -> None:
        """`context`: the longest sequence, in tokens. Raises `CheckpointError` for a shape that
        the operator does not serve, `EngineError` if it is not built or memory is short."""
        check(config)
        self.config, self._context = config, context
        self._library = library.load()
        self._kept: list[Any] = [weights]  # memory that the operator reads
        tables = {
            kind: self._rope(config.rope(config.layer_types.index(kind)), dim, context)
            for kind, dim in {(k, config.dim(i)) for i, k in enumerate(config.layer_types)}
        }
        layers = (library.Layer * config.num_hidden_layers)(*(
            self._layer(weights, layer, *tables[config.layer_types[layer]])
            for layer in range(config.num_hidden_layers)
        ))  # fmt: skip
        described = library.Model(
            layers=layers,
            embedding=weights.address("embedding"),
            head=weights.matrix("head"),
            norm=weights.address("norm"),
            layer_count=config.num_hidden_layers,
            first_shared=config.first_shared_layer,
            hidden=config.hidden_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            context=context,
            max_rows=MAX_ROWS,
            threads=threads or os.cpu_count() or 1,
            value_norm=config.v_norm,
            silu=config.activation == "silu",
            attention_scale=config.attention_scale,
            embedding_scale=math.sqrt(config.hidden_size) if config.scale_embedding else 1.0,
            eps=config.rms_norm_eps,
            softcap=config.final_logit_softcapping or 0.0,
        )
        self._kept.append(layers)
        self._model = self._library.troupe_model_new(ctypes.byref(described))
        if not self._model:
            raise EngineError("there is not enough memory, or no thread, for the CPU operator")

    def __del__(self) -> None:
        model = getattr(self, "_model", None)
        if model:
            self._library.troupe_model_free(model)

    @classmethod
    def load(
        cls, folder: Path, context: int, threads: int = 1, cache: PackCache | None = None
    ) -> NativeModel:
        """Read a Hugging Face folder; `cache` says where packed weights are kept, if anywhere.
        Raises `CheckpointError`, `EngineError`."""
        config = ModelConfig.load(folder)
        weights = Weights(folder)
        weights.check(config)
        return cls(config, packed(folder, config, weights, cache), context, threads)

    @property
    def how(self) -> str:
        """What computes, for the log."""
        return f"int8 on {library.instruction_set()}"

    def step(self, spans: Sequence[Span], arena: NativeArena) -> Floats:
        """Run all spans (`MAX_ROWS` tokens at most), storing their keys and values in `arena`.

        Returns float32 logits `(rows that are wanted, vocabulary)`, in the order of `spans`. Raises
        `ValueError` for a step that is too long.
        """
        tokens: list[int] = []
        positions: list[int] = []
        table: list[int] = []
        pages: list[int] = []
        local: list[int] = []
        wanted: list[int] = []
        for span in spans:
            count = len(span.tokens)
            tokens += span.tokens
            positions += range(span.start, span.start + count)
            table += [len(pages)] * count
            reach = -(-(span.start + count) // PAGE)
            pages += span.pages[:reach]
            local += (span.pages if span.local is None else span.local)[:reach]
            wanted += range(len(tokens) - span.wants_logits, len(tokens))
        if not 0 < len(tokens) <= MAX_ROWS or max(positions) >= self._context:
            raise ValueError(  # it would write beyond its memory
                f"a step of {len(tokens)} tokens, up to position {max(positions, default=0)}; it "
                f"may have 1 to {MAX_ROWS}, at positions below {self._context}"
            )
        logits = np.empty((len(wanted), self.config.vocab_size), np.float32)
        arrays = [np.array(a, np.int32) for a in (tokens, positions, table, pages, local, wanted)]
        batch = library.Batch(
            *(array.ctypes.data for array in arrays),
            len(tokens),
            len(wanted),
            logits.ctypes.data,
            arena.caches.ctypes.data,
        )
        self._library.troupe_step(self._model, ctypes.byref(batch))
        return logits

    def _keep(self, array: NDArray[Any]) -> int:
        """The address of an array's numbers, which live as long as this."""
        array = np.ascontiguousarray(array)
        self._kept.append(array)
        return array.ctypes.data

    def _rope(self, rope: Rope, dim: int, context: int) -> tuple[int, int]:
        """Cosines and sines of each position, `(context, dim / 2)` float32."""
        cos, sin = rope.table(dim, context)
        return self._keep(cos), self._keep(sin)

    def _layer(self, weights: PackedModel, layer: int, cos: int, sin: int) -> library.Layer:
        config = self.config
        matrices = {name: weights.matrix(f"{layer}.{name}") for name in _MATRICES}
        vectors = {name: weights.address(f"{layer}.{name}") for name in _VECTORS}
        sliding = config.layer_types[layer] == SLIDING
        return library.Layer(
            **matrices,
            **vectors,
            cos=cos,
            sin=sin,
            cache_stride=page_stride(config, config.kv_layer(layer)),
            cache=config.kv_layer(layer),
            makes_kv=layer < config.first_shared_layer,
            dim=config.dim(layer),
            window=config.sliding_window if sliding else 2**30,
            local=sliding,
            inner=config.mlp_size(layer),
            scalar=weights.number(f"{layer}.scalar"),
        )


def check(config: ModelConfig) -> None:
    """Raises `CheckpointError` for a shape that the operator does not serve."""
    heads, dims = config.num_attention_heads, (config.head_dim, config.global_head_dim)
    rules = [
        (all(dim % 4 == 0 and dim <= WIDEST_HEAD for dim in dims),
         f"head sizes must be multiples of 4 up to {WIDEST_HEAD}"),
        (heads <= MOST_HEADS, f"there may be up to {MOST_HEADS} heads"),
        (config.hidden_size <= 65536 and config.intermediate_size <= 65536,
         "hidden_size and intermediate_size may be up to 65536"),
    ]  # fmt: skip
    for holds, complaint in rules:
        if not holds:
            raise CheckpointError(f"the CPU operator does not serve this model: {complaint}")
