"""The inference step: rows `(token, position, sequence)` in, logits out, one call for decodes and
prefill chunks of many sequences.

A row's result depends on its own sequence's tokens and on nothing else: not on batch-mates, chunk
size, what was cached, or where pages lie (`gemm.py` and `attention.py` say how). Layers that share
keys and values make none, so they run only for rows whose logits are wanted. Called by the worker;
held to `ref.py` by tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from troupe.engine.config import SLIDING, LayerType, ModelConfig
from troupe.engine.eager.arena import EagerArena
from troupe.engine.eager.attention import View, attend, gather, view
from troupe.engine.eager.gemm import (
    BUCKETS,
    VECTORS,
    choose_order,
    elementwise,
    padded_rows,
    product,
)
from troupe.engine.errors import CheckpointError
from troupe.engine.ref import rope_table
from troupe.engine.steps import PAGE, SCRATCH_PAGE, Floats, Span
from troupe.engine.weights import Weights, tensor_shapes


@dataclass(frozen=True, slots=True)
class _LayerWeights:
    # Matrices are stored input-first, and those of one input side by side.
    qkv: Tensor  # (D, H K [+ 2 G K])
    qkv_scale: Tensor | None  # (H [+ G [+ G]], K): weights of the norms of queries, keys, values
    out: Tensor
    gate_up: Tensor
    down: Tensor
    qkv_bias: Tensor | None
    out_bias: Tensor | None
    gate_up_bias: Tensor | None
    down_bias: Tensor | None
    before_attention: Tensor
    after_attention: Tensor | None
    before_mlp: Tensor
    after_mlp: Tensor | None
    scalar: float


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows `lo:hi` that attend together."""

    lo: int
    hi: int
    views: dict[LayerType, View]


class EagerModel:
    """A checkpoint ready to run on a CPU, float32. Not thread-safe: one worker calls it."""

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, Tensor], context: int | None = None
    ) -> None:
        """`context`: the longest sequence, in tokens; the model's own if not given."""
        _check_widths(config)
        self.config = config
        self._scale = math.sqrt(config.hidden_size) if config.scale_embedding else 1.0
        self._embed = weights["model.embed_tokens.weight"]
        head = self._embed if config.tie_word_embeddings else weights["lm_head.weight"]
        self._head = head.t().contiguous()
        self._norm = weights["model.norm.weight"] + config.norm_offset
        self._activation = F.silu if config.activation == "silu" else _gelu
        self._layers = [_pack(config, weights, i) for i in range(config.num_hidden_layers)]
        matrices = [m for w in self._layers for m in (w.qkv, w.out, w.gate_up, w.down)]
        self._order = choose_order([*matrices, self._head])
        self._ropes = {
            kind: _signed_rope(config, config.layer_types.index(kind), context)
            for kind in set(config.layer_types)
        }

    @classmethod
    def load(cls, folder: Path, context: int | None = None) -> EagerModel:
        """Read a Hugging Face folder. Raises `CheckpointError`."""
        config = ModelConfig.load(folder)
        weights = Weights(folder)
        weights.check(config)
        tensors = {
            name: torch.from_numpy(weights[name])
            for name in tensor_shapes(config)
            if name in weights  # a layer_scalar may be absent
        }
        return cls(config, tensors, context)

    @property
    def how(self) -> str:
        """How rows go through the matrix products on this machine, for the log."""
        return f"float32 in torch, {self._order.value}"

    @torch.inference_mode()
    def step(self, spans: Sequence[Span], arena: EagerArena) -> Floats:
        """Run all spans (`MAX_ROWS` tokens at most), storing their keys and values in `arena`.

        Returns float32 logits `(rows that are wanted, vocabulary)`, in the order of `spans`.
        """
        config = self.config
        ordered = sorted(range(len(spans)), key=lambda i: len(spans[i].tokens) > 1)
        tokens = [t for i in ordered for t in spans[i].tokens]
        positions = [spans[i].start + j for i in ordered for j in range(len(spans[i].tokens))]
        pad = padded_rows(len(tokens)) - len(tokens)
        x_MD = self._embed[torch.tensor(tokens + [0] * pad)] * self._scale
        groups = self._groups([spans[i] for i in ordered])
        slots = {
            kind: torch.tensor([s for i in ordered for s in _slots(spans[i], kind)])
            for kind in self._ropes
        }
        ropes = self._rope_rows(positions, pad)
        for layer in range(config.first_shared_layer):
            x_MD = self._layer(layer, x_MD, ropes, groups, arena, slots, {})

        ends: dict[int, int] = {}  # span -> its last row
        row = 0
        for i in ordered:
            row += len(spans[i].tokens)
            ends[i] = row - 1
        # Each wanted row by its span, and how far it is from the span's end.
        wanted = [
            (i, back) for i, span in enumerate(spans) for back in reversed(range(span.wants_logits))
        ]
        if not wanted:
            return torch.empty(0, config.vocab_size).numpy()
        x_RD = x_MD[[ends[i] - back for i, back in wanted]]
        return self._finish([(spans[i], back) for i, back in wanted], x_RD, arena).numpy()

    def _finish(
        self, wanted: Sequence[tuple[Span, int]], x_RD: Tensor, arena: EagerArena
    ) -> Tensor:
        """The shared layers and the head, for rows so far from the ends of their spans."""
        config, rows = self.config, len(wanted)
        pad = padded_rows(rows) - rows
        x_MD = F.pad(x_RD, (0, 0, 0, pad))
        if config.num_kv_shared_layers:
            positions = [span.start + len(span.tokens) - 1 - back for span, back in wanted]
            spans = [span for span, _ in wanted]
            groups = [_Group(0, rows, self._views(positions, spans))]
            ropes = self._rope_rows(positions, pad)
            gathered: dict[int, Tensor] = {}
            for layer in range(config.first_shared_layer, config.num_hidden_layers):
                x_MD = self._layer(layer, x_MD, ropes, groups, arena, None, gathered)
        logits = product(self._normed(x_MD, self._norm), self._head, self._order)
        cap = config.final_logit_softcapping
        if cap is not None:
            logits = elementwise(torch.tanh, logits / cap) * cap
        return logits[:rows]

    def _layer(
        self,
        layer: int,
        x_MD: Tensor,
        ropes: dict[LayerType, tuple[Tensor, Tensor]],
        groups: Sequence[_Group],
        arena: EagerArena,
        slots: dict[LayerType, Tensor] | None,
        gathered: dict[int, Tensor],
    ) -> Tensor:
        """One layer. With `slots` it stores keys and values; without, it reads those of the layer
        it shares with, kept in `gathered` between the shared layers of a step."""
        config, w = self.config, self._layers[layer]
        kind, H = config.layer_types[layer], config.num_attention_heads
        cos, signed_sin = ropes[kind]
        M = x_MD.shape[0]
        qkv = product(self._normed(x_MD, w.before_attention), w.qkv, self._order)
        if w.qkv_bias is not None:
            qkv += w.qkv_bias
        heads = self._normed_heads(qkv.view(M, -1, config.dim(layer)), w.qkv_scale)
        turning = heads if slots is None else heads[:, : H + config.num_key_value_heads]
        swapped = turning.roll(config.dim(layer) // 2, dims=-1)
        turned = turning * cos + swapped * signed_sin
        if slots is not None:
            rows = slots[kind].shape[0]
            values = heads[:rows, H + config.num_key_value_heads :]
            arena.store(layer, slots[kind], turned[:rows, H:], values)
        queries = turned[:, :H]
        if config.attention_scale != 1.0:
            queries = queries * config.attention_scale
        out = torch.zeros(M, H, config.dim(layer))
        source = config.kv_layer(layer)
        for group in groups:
            seen = group.views[kind]
            kv = gathered.get(source) if slots is None else None
            if kv is None:
                kv = gather(arena, source, seen)
            if slots is None:
                gathered[source] = kv
            out[group.lo : group.hi] = attend(queries[group.lo : group.hi], kv, seen)
        attended = product(out.view(M, -1), w.out, self._order)
        x_MD = x_MD + self._after(attended, w.out_bias, w.after_attention)
        gate_up = product(self._normed(x_MD, w.before_mlp), w.gate_up, self._order)
        if w.gate_up_bias is not None:
            gate_up += w.gate_up_bias
        gate, up = gate_up.chunk(2, dim=-1)
        inner = elementwise(self._activation, gate.contiguous()) * up
        down = product(inner, w.down, self._order)
        x_MD = x_MD + self._after(down, w.down_bias, w.after_mlp)
        return x_MD if w.scalar == 1.0 else x_MD * w.scalar

    def _normed(self, x_MD: Tensor, weight: Tensor) -> Tensor:
        return _rms_norm(x_MD, weight, self.config.rms_norm_eps)

    def _normed_heads(self, heads: Tensor, scale: Tensor | None) -> Tensor:
        """Those of the heads that the model norms, normed: as many as `scale` has weights for."""
        if scale is None:
            return heads
        count = scale.shape[0]
        normed = _rms_norm(heads[:, :count], scale, self.config.rms_norm_eps)
        return normed if count == heads.shape[1] else torch.cat([normed, heads[:, count:]], dim=1)

    def _after(self, made: Tensor, bias: Tensor | None, norm: Tensor | None) -> Tensor:
        """What a block made, with its bias and the norm after it where there is one."""
        if bias is not None:
            made += bias
        return made if norm is None else self._normed(made, norm)

    def _groups(self, spans: Sequence[Span]) -> list[_Group]:
        """Single rows attend as one group; each longer span is a group of its own."""
        groups: list[_Group] = []
        singles = [span for span in spans if len(span.tokens) == 1]
        if singles:
            views = self._views([s.start for s in singles], singles)
            groups.append(_Group(0, len(singles), views))
        row = len(singles)
        for span in spans[len(singles) :]:
            count = len(span.tokens)
            views = self._views(list(range(span.start, span.start + count)), [span])
            groups.append(_Group(row, row + count, views))
            row += count
        return groups

    def _views(self, positions: Sequence[int], spans: Sequence[Span]) -> dict[LayerType, View]:
        window = self.config.sliding_window
        return {
            kind: view(
                positions,
                [_table(span, kind) for span in spans],
                window if kind == SLIDING else None,
            )
            for kind in self._ropes
        }

    def _rope_rows(
        self, positions: Sequence[int], pad: int
    ) -> dict[LayerType, tuple[Tensor, Tensor]]:
        index = torch.tensor([*positions, *[0] * pad])
        return {
            kind: (cos[index][:, None], sin[index][:, None])
            for kind, (cos, sin) in self._ropes.items()
        }


def _gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _check_widths(config: ModelConfig) -> None:
    """Rows come in fours at least, so widths of eights fill whole vectors (see `elementwise`)."""
    least = VECTORS // BUCKETS[0]
    widths = {"intermediate_size": config.intermediate_size}
    if config.final_logit_softcapping is not None:
        widths["vocab_size"] = config.vocab_size
    for name, width in widths.items():
        if width % least:
            raise CheckpointError(f"{name} is {width}; this engine serves multiples of {least}")


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As `F.rms_norm`, in fewer calls: on a few rows the calls are what costs."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    mean_square = length.square_().mul_(1.0 / x.shape[-1]).add_(eps)
    return (x * mean_square.rsqrt_()).mul_(weight)


def _table(span: Span, kind: LayerType) -> Sequence[int]:
    return span.pages if span.local is None or kind != SLIDING else span.local


def _slots(span: Span, kind: LayerType) -> list[int]:
    """Where the keys and values of a span's tokens go, in layers of one type."""
    table, slots = _table(span, kind), []
    for position in range(span.start, span.start + len(span.tokens)):
        page = table[position // PAGE]
        assert page != SCRATCH_PAGE, "a sequence was given the scratch page"
        slots.append(page * PAGE + position % PAGE)
    return slots


def _signed_rope(config: ModelConfig, layer: int, context: int | None) -> tuple[Tensor, Tensor]:
    """Cosines, and sines with the sign that turns `(second, first)` into `(-second, first)`."""
    dim = config.dim(layer)
    positions = torch.arange(context or config.max_position_embeddings)
    cos, sin = rope_table(config.rope(layer), dim, positions)
    sin[:, : dim // 2] *= -1
    return cos, sin


def _pack(config: ModelConfig, weights: Mapping[str, Tensor], layer: int) -> _LayerWeights:
    def get(name: str) -> Tensor:
        return weights[f"model.layers.{layer}.{name}"]

    def norm(name: str) -> Tensor:
        return get(f"{name}norm.weight") + config.norm_offset

    def bias(there: bool, *names: str) -> Tensor | None:
        return torch.cat([get(f"{name}.bias") for name in names]) if there else None

    makes_kv = layer < config.first_shared_layer
    sandwich = config.sandwich_norms
    qkv = [f"self_attn.{letter}_proj" for letter in ("qkv" if makes_kv else "q")]
    scalar = weights.get(f"model.layers.{layer}.layer_scalar")  # absent is one
    return _LayerWeights(
        qkv=_beside(*(get(f"{name}.weight") for name in qkv)),
        qkv_scale=_head_scales(config, layer, norm),
        out=_beside(get("self_attn.o_proj.weight")),
        gate_up=_beside(get("mlp.gate_proj.weight"), get("mlp.up_proj.weight")),
        down=_beside(get("mlp.down_proj.weight")),
        qkv_bias=bias(config.qkv_bias, *qkv),
        out_bias=bias(config.out_bias, "self_attn.o_proj"),
        gate_up_bias=bias(config.mlp_bias, "mlp.gate_proj", "mlp.up_proj"),
        down_bias=bias(config.mlp_bias, "mlp.down_proj"),
        before_attention=norm("input_layer"),
        after_attention=norm("post_attention_layer") if sandwich else None,
        before_mlp=norm("pre_feedforward_layer" if sandwich else "post_attention_layer"),
        after_mlp=norm("post_feedforward_layer") if sandwich else None,
        scalar=1.0 if scalar is None else float(scalar),
    )


def _head_scales(config: ModelConfig, layer: int, norm: Callable[[str], Tensor]) -> Tensor | None:
    """Weights of the norms of a layer's heads, in their order; those of values are ones."""
    if not config.qk_norm:
        return None
    heads, kv_heads, dim = config.num_attention_heads, config.num_key_value_heads, config.dim(layer)
    scales = [norm("self_attn.q_").expand(heads, dim)]
    if layer < config.first_shared_layer:
        scales.append(norm("self_attn.k_").expand(kv_heads, dim))
        if config.v_norm:
            scales.append(torch.ones(kv_heads, dim))
    return torch.cat(scales)


def _beside(*matrices: Tensor) -> Tensor:
    """Matrices `(outputs, D)` of one input as one `(D, all outputs)`."""
    return torch.cat([matrix.t() for matrix in matrices], dim=1).contiguous()
