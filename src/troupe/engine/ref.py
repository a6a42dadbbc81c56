"""The model as plain torch: the oracle that every faster path is held to, and what training runs.

Semantics are those of each family as transformers 5.23 computes it (for Gemma 4 without per-layer
embeddings: `Gemma4UnifiedForCausalLM`). Parameters carry Hugging Face's names,
so that a checkpoint is `state_dict()` and nothing else. Differentiable; runs in float32, or under
`torch.autocast` in bfloat16. Called by `troupe.train` and by tests; serving uses `model.py`.

Letters in names: B batch, T tokens, V vocabulary, D hidden size, H heads, K head size.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from troupe.engine.config import SLIDING, LayerType, ModelConfig, Rope
from troupe.engine.weights import Weights

RopeTable = tuple[Tensor, Tensor]


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last dimension, in float32, times a learned weight, to which
    the family may add an offset."""

    def __init__(self, size: int, config: ModelConfig) -> None:
        super().__init__()
        self.eps, self.offset = config.rms_norm_eps, config.norm_offset
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.float() + self.offset
        return F.rms_norm(x.float(), (x.shape[-1],), weight, self.eps)


def rope_table(rope: Rope, head_dim: int, positions: Tensor) -> RopeTable:
    """Cosines and sines, each `(*positions.shape, head_dim)` float32."""
    frequencies = torch.from_numpy(rope.frequencies(head_dim)).float()
    angles = positions[..., None].float() * frequencies.to(positions.device)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos() * rope.attention_factor, angles.sin() * rope.attention_factor


def rotate(x: Tensor, table: RopeTable) -> Tensor:
    """Turn pairs `(i, i + half)` of the last dimension by the table's angles."""
    cos, sin = table
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(nn.Module):
    """Multi-head attention; which of queries, keys and values are normed, the config says."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.dim = dim = config.dim(layer)
        self.eps, self.scale = config.rms_norm_eps, config.attention_scale
        self.norms_values = config.v_norm
        self.makes_kv = layer < config.first_shared_layer
        hidden, bias = config.hidden_size, config.qkv_bias
        self.q_proj = nn.Linear(hidden, self.heads * dim, bias)
        self.o_proj = nn.Linear(self.heads * dim, hidden, config.out_bias)
        self.q_norm = RMSNorm(dim, config) if config.qk_norm else nn.Identity()
        if self.makes_kv:
            self.k_proj = nn.Linear(hidden, self.kv_heads * dim, bias)
            self.v_proj = nn.Linear(hidden, self.kv_heads * dim, bias)
            self.k_norm = RMSNorm(dim, config) if config.qk_norm else nn.Identity()

    def keys_values(self, x_BTD: Tensor, table: RopeTable) -> tuple[Tensor, Tensor]:
        """Keys and values `(B, kv heads, T, K)` of this layer's input."""
        B, T, _ = x_BTD.shape
        keys = self.k_norm(self.k_proj(x_BTD).view(B, T, self.kv_heads, self.dim))
        values = self.v_proj(x_BTD).view(B, T, self.kv_heads, self.dim)
        if self.norms_values:
            values = F.rms_norm(values.float(), (self.dim,), None, self.eps)
        return rotate(keys, table).transpose(1, 2), values.transpose(1, 2)

    def queries(self, x_BTD: Tensor, table: RopeTable) -> Tensor:
        """Queries `(B, T, H, K)` of this layer's input."""
        B, T, _ = x_BTD.shape
        return rotate(self.q_norm(self.q_proj(x_BTD).view(B, T, self.heads, self.dim)), table)

    def forward(
        self, x_BTD: Tensor, kv: tuple[Tensor, Tensor], table: RopeTable, mask: Tensor | None
    ) -> Tensor:
        B, T, _ = x_BTD.shape
        queries_BHTK = self.queries(x_BTD, table).transpose(1, 2)
        repeat = self.heads // self.kv_heads
        keys, values = (t.repeat_interleave(repeat, dim=1) if repeat > 1 else t for t in kv)
        if torch.is_autocast_enabled(x_BTD.device.type):
            dtype = torch.get_autocast_dtype(x_BTD.device.type)
            queries_BHTK, keys, values = (t.to(dtype) for t in (queries_BHTK, keys, values))
        out = F.scaled_dot_product_attention(
            queries_BHTK, keys, values, attn_mask=mask, is_causal=mask is None, scale=self.scale
        )
        return self.o_proj(out.transpose(1, 2).reshape(B, T, -1))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """Gated feed-forward block."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        hidden, inner, bias = config.hidden_size, config.mlp_size(layer), config.mlp_bias
        self.silu = config.activation == "silu"
        self.gate_proj = nn.Linear(hidden, inner, bias)
        self.up_proj = nn.Linear(hidden, inner, bias)
        self.down_proj = nn.Linear(inner, hidden, bias)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate_proj(x)
        gate = F.silu(gate) if self.silu else F.gelu(gate, approximate="tanh")
        return self.down_proj(gate * self.up_proj(x))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention, then feed-forward, each normed before; in some families also after, and there
    `post_attention_layernorm` is the norm after attention, elsewhere the one before the
    feed-forward block."""

    layer_scalar: Tensor

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.self_attn = Attention(config, layer)
        self.mlp = MLP(config, layer)
        self.input_layernorm = RMSNorm(hidden, config)
        self.post_attention_layernorm = RMSNorm(hidden, config)
        self.sandwich = config.sandwich_norms
        if self.sandwich:
            self.pre_feedforward_layernorm = RMSNorm(hidden, config)
            self.post_feedforward_layernorm = RMSNorm(hidden, config)
        self.register_buffer("layer_scalar", torch.ones(1), persistent=config.layer_scalar)

    def forward(
        self,
        x: Tensor,
        shared_kv: tuple[Tensor, Tensor] | None,
        table: RopeTable,
        mask: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h = self.input_layernorm(x)
        kv = shared_kv if shared_kv is not None else self.self_attn.keys_values(h, table)
        attended = self.self_attn(h, kv, table, mask)
        if not self.sandwich:
            x = x + attended
            return x + self.mlp(self.post_attention_layernorm(x)), kv
        x = x + self.post_attention_layernorm(attended)
        h = self.pre_feedforward_layernorm(x)
        x = x + self.post_feedforward_layernorm(self.mlp(h))
        return x * self.layer_scalar, kv


class Backbone(nn.Module):
    """Embedding, layers and the last norm: everything but the head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config)

    def forward(self, ids_BT: Tensor, positions: Tensor, documents: Tensor | None) -> Tensor:
        config = self.config
        x_BTD = self.embed_tokens(ids_BT)
        if config.scale_embedding:
            x_BTD = x_BTD * math.sqrt(config.hidden_size)
        masks = {
            kind: attention_mask(config, kind, ids_BT, documents)
            for kind in set(config.layer_types)
        }
        tables: dict[LayerType, RopeTable] = {}
        kvs: dict[int, tuple[Tensor, Tensor]] = {}
        for i, layer in enumerate(self.layers):
            kind, source = config.layer_types[i], config.kv_layer(i)
            if kind not in tables:
                cos, sin = rope_table(config.rope(i), config.dim(i), positions)
                tables[kind] = cos[..., None, :], sin[..., None, :]  # over heads
            x_BTD, kvs[source] = layer(x_BTD, kvs.get(source), tables[kind], masks[kind])
        return self.norm(x_BTD)  # type: ignore[no-any-return]


def attention_mask(
    config: ModelConfig, kind: LayerType, ids_BT: Tensor, documents_BT: Tensor | None
) -> Tensor | None:
    """True where a token may look, `(B or 1, 1, T, T)`; None stands for plain causal."""
    T = ids_BT.shape[1]
    windowed = kind == SLIDING and config.sliding_window < T
    if documents_BT is None and not windowed:
        return None
    index = torch.arange(T, device=ids_BT.device)
    back_TT = index[:, None] - index[None, :]
    mask = (back_TT >= 0)[None]
    if windowed:
        mask = mask & (back_TT < config.sliding_window)
    if documents_BT is not None:
        mask = mask & (documents_BT[:, :, None] == documents_BT[:, None, :])
    return mask[:, None]


class Model(nn.Module):
    """The whole model. `Model(config)` is freshly initialised; `Model.load(folder)` is trained."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        self.lm_head: nn.Linear | None = None
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None, std: float = 0.02) -> None:
        """Fresh weights. Where attention has scale 1, the query and key norms start at
        `head_dim ** -0.25` each (together the usual `head_dim ** -0.5`); the norms after a block
        start small, so that the depth does not drown the embedding."""
        config = self.config
        depth = (2 * config.num_hidden_layers) ** -0.5 if config.sandwich_norms else 1.0
        unscaled = config.attention_scale == 1.0
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(0.0, std, generator=generator)
            elif name.endswith(".bias"):
                parameter.zero_()
            elif unscaled and name.endswith(("q_norm.weight", "k_norm.weight")):
                parameter.fill_(parameter.shape[0] ** -0.25 - config.norm_offset)
            else:
                parameter.fill_((depth if ".post_" in name else 1.0) - config.norm_offset)

    def hidden(
        self, ids_BT: Tensor, positions: Tensor | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Normed states `(B, T, D)` before the head; arguments as for `forward`."""
        if positions is None:
            positions = torch.arange(ids_BT.shape[1], device=ids_BT.device)[None]
        return self.model(ids_BT, positions, documents)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary for states of `hidden`, of any leading shape."""
        head = self.model.embed_tokens if self.lm_head is None else self.lm_head
        logits = F.linear(hidden, head.weight)
        cap = self.config.final_logit_softcapping
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def forward(
        self, ids_BT: Tensor, positions: Tensor | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Logits `(B, T, V)` of int64 `ids_BT`.

        `positions` `(B or 1, T)` int64 defaults to 0, 1, …; they only turn the rotary embedding,
        while causality and the window go by index in the row. `documents` `(B, T)` int64 numbers
        the packed document of each token: attention never crosses a change of number.
        """
        return self.logits(self.hidden(ids_BT, positions, documents))

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read a Hugging Face folder in float32. Raises `CheckpointError`."""
        config = ModelConfig.load(folder)
        model = cls(config)
        weights = Weights(folder)
        weights.check(config)
        state = model.state_dict()
        model.load_state_dict({
            name: torch.from_numpy(weights[name]) if name in weights else state[name]
            for name in state
        })  # fmt: skip
        return model.eval()
