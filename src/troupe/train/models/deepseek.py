"""DeepSeek-V3-class models as plain torch for one device: latent attention, shared and routed
experts, routing by sigmoid scores that a bias balances.

Source: DeepSeek-V3 Technical Report (2412.19437), sections 2.1.1 and 2.1.2; results are those of
transformers' `DeepseekV3ForCausalLM`. Parameters have Hugging Face's names but for the experts,
which lie stacked: `checkpoint.py` takes them apart and puts them together.

Letters in names: B batch, T tokens, V vocabulary, D hidden size, H heads, N tokens of all rows, E
experts, C chosen experts a token, F inner size.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from troupe.engine.ref import RopeTable, rope_table, rotate
from troupe.train.models.deepseek_config import DeepSeekConfig


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last dimension, in float32, times a learned weight."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight.float(), self.eps)


class LatentAttention(nn.Module):
    """Queries, keys and values made from low-rank latents; one rotated key for all heads."""

    def __init__(self, config: DeepSeekConfig) -> None:
        super().__init__()
        c = self.config = config
        hidden, heads = c.hidden_size, c.num_attention_heads
        if c.q_lora_rank is None:
            self.q_proj = nn.Linear(hidden, heads * c.qk_head_dim, bias=False)
        else:
            self.q_a_proj = nn.Linear(hidden, c.q_lora_rank, bias=False)
            self.q_a_layernorm = RMSNorm(c.q_lora_rank, 1e-6)
            self.q_b_proj = nn.Linear(c.q_lora_rank, heads * c.qk_head_dim, bias=False)
        self.kv_a_proj_with_mqa = nn.Linear(hidden, c.kv_lora_rank + c.qk_rope_head_dim, bias=False)
        self.kv_a_layernorm = RMSNorm(c.kv_lora_rank, 1e-6)
        made = heads * (c.qk_nope_head_dim + c.v_head_dim)
        self.kv_b_proj = nn.Linear(c.kv_lora_rank, made, bias=False)
        self.o_proj = nn.Linear(heads * c.v_head_dim, hidden, bias=False)

    def forward(self, x_BTD: Tensor, table: RopeTable, mask: Tensor | None) -> Tensor:
        c, (B, T, _) = self.config, x_BTD.shape
        queries = self._queries(x_BTD).view(B, T, -1, c.qk_head_dim)
        q_still, q_turning = torch.split(queries, [c.qk_nope_head_dim, c.qk_rope_head_dim], dim=-1)
        latent, k_turning = torch.split(
            self.kv_a_proj_with_mqa(x_BTD), [c.kv_lora_rank, c.qk_rope_head_dim], dim=-1
        )
        made = self.kv_b_proj(self.kv_a_layernorm(latent))
        made = made.view(B, T, -1, c.qk_nope_head_dim + c.v_head_dim)
        k_still, values = torch.split(made, [c.qk_nope_head_dim, c.v_head_dim], dim=-1)
        heads = k_still.shape[2]
        k_turned = self._turn(k_turning[:, :, None], table).expand(-1, -1, heads, -1)
        queries = torch.cat([q_still, self._turn(q_turning, table)], dim=-1).transpose(1, 2)
        keys = torch.cat([k_still, k_turned], dim=-1).transpose(1, 2)
        dtype = values.dtype
        out = F.scaled_dot_product_attention(
            queries.to(dtype), keys.to(dtype), values.transpose(1, 2), attn_mask=mask,
            is_causal=mask is None, scale=c.attention_scale,
        )  # fmt: skip
        return cast(Tensor, self.o_proj(out.transpose(1, 2).reshape(B, T, -1)))

    def _queries(self, x_BTD: Tensor) -> Tensor:
        if self.config.q_lora_rank is None:
            return cast(Tensor, self.q_proj(x_BTD))
        return cast(Tensor, self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x_BTD))))

    def _turn(self, x_BTHK: Tensor, table: RopeTable) -> Tensor:
        """Checkpoints pair neighbours (0, 1), (2, 3), …; `rotate` pairs halves."""
        if self.config.rope_interleave:
            x_BTHK = torch.cat([x_BTHK[..., 0::2], x_BTHK[..., 1::2]], dim=-1)
        return rotate(x_BTHK, table)


class MLP(nn.Module):
    """Gated feed-forward block."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x)))


class Router(nn.Module):
    """Which experts a token goes to, and how much each counts.

    The bias chooses and does not weigh. `load` counts the tokens that each expert was given since
    it was last taken, for `balance`.
    """

    e_score_correction_bias: Tensor
    load: Tensor

    def __init__(self, config: DeepSeekConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.zeros(config.n_routed_experts, config.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))
        self.register_buffer("load", torch.zeros(config.n_routed_experts), persistent=False)

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Weights float32 and experts int64, both `(N, C)`."""
        c = self.config
        with torch.autocast(x_ND.device.type, enabled=False):  # scores are compared: full precision
            scores_NE = F.linear(x_ND.float(), self.weight.float()).sigmoid()
        chosen_NC = self._choose((scores_NE + self.e_score_correction_bias).detach())
        weights_NC = scores_NE.gather(1, chosen_NC)
        if c.norm_topk_prob:
            weights_NC = weights_NC / (weights_NC.sum(-1, keepdim=True) + 1e-20)
        if self.training:
            counted = torch.bincount(chosen_NC.flatten(), minlength=c.n_routed_experts)
            self.load += counted.to(self.load.dtype)
        return weights_NC * c.routed_scaling_factor, chosen_NC

    def _choose(self, ranked_NE: Tensor) -> Tensor:
        """The best experts of the best groups; a group is as good as its best two."""
        c, count = self.config, ranked_NE.shape[0]
        grouped = ranked_NE.view(count, c.n_group, -1)
        of_groups = grouped.topk(2, dim=-1).values.sum(-1)
        best = of_groups.topk(c.topk_group, dim=-1).indices
        outside = torch.ones_like(of_groups, dtype=torch.bool).scatter_(1, best, False)
        masked = grouped.masked_fill(outside[..., None], float("-inf")).view(count, -1)
        return masked.topk(c.num_experts_per_tok, dim=-1).indices

    @torch.no_grad()
    def balance(self, rate: float) -> None:
        """Raise the bias of experts that were given less than their share by `rate`, lower the
        others', and start counting again (section 2.1.2)."""
        self.e_score_correction_bias += rate * torch.sign(self.load.mean() - self.load)
        self.load.zero_()


class Experts(nn.Module):
    """The routed experts, stacked: `gate_up` `(E, 2 F, D)`, `down` `(E, D, F)`."""

    def __init__(self, config: DeepSeekConfig) -> None:
        super().__init__()
        count, hidden, inner = (
            config.n_routed_experts,
            config.hidden_size,
            config.moe_intermediate_size,
        )
        self.gate_up = nn.Parameter(torch.empty(count, 2 * inner, hidden))
        self.down = nn.Parameter(torch.empty(count, hidden, inner))

    def forward(self, x_ND: Tensor, sizes: list[int]) -> Tensor:
        """Rows through their experts: the first `sizes[0]` through the first, and so on."""
        outputs = []
        for expert, rows in enumerate(torch.split(x_ND, sizes)):
            gate, up = F.linear(rows, self.gate_up[expert]).chunk(2, dim=-1)
            outputs.append(F.linear(F.silu(gate) * up, self.down[expert]))
        return torch.cat(outputs)


class MixtureOfExperts(nn.Module):
    """Routed experts, and shared ones that see every token. No token is dropped."""

    def __init__(self, config: DeepSeekConfig) -> None:
        super().__init__()
        self.gate = Router(config)
        self.experts = Experts(config)
        self.shared_experts: MLP | None = None
        if config.n_shared_experts:
            inner = config.moe_intermediate_size * config.n_shared_experts
            self.shared_experts = MLP(config.hidden_size, inner)

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_ND = x_BTD.flatten(0, 1)
        weights_NC, chosen_NC = self.gate(x_ND)
        each = chosen_NC.shape[1]
        order = chosen_NC.flatten().argsort(stable=True)  # by expert
        sizes = torch.bincount(chosen_NC.flatten(), minlength=self.gate.config.n_routed_experts)
        tokens = order // each
        out = self.experts(x_ND[tokens], sizes.tolist())
        out = out * weights_NC.flatten()[order, None].to(out.dtype)
        mixed = torch.zeros_like(x_ND, dtype=out.dtype).index_add(0, tokens, out).view_as(x_BTD)
        return mixed if self.shared_experts is None else mixed + self.shared_experts(x_BTD)


class Layer(nn.Module):
    """Attention, then feed-forward, each normed before."""

    def __init__(self, config: DeepSeekConfig, layer: int) -> None:
        super().__init__()
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = LatentAttention(config)
        self.mlp: nn.Module = (
            MixtureOfExperts(config)
            if layer >= config.first_k_dense_replace
            else MLP(hidden, config.intermediate_size)
        )
        self.input_layernorm = RMSNorm(hidden, eps)
        self.post_attention_layernorm = RMSNorm(hidden, eps)

    def forward(self, x: Tensor, table: RopeTable, mask: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), table, mask)
        return cast(Tensor, x + self.mlp(self.post_attention_layernorm(x)))


class Backbone(nn.Module):
    """Embedding, layers and the last norm: everything but the head."""

    def __init__(self, config: DeepSeekConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, ids_BT: Tensor, positions: Tensor, documents: Tensor | None) -> Tensor:
        cos, sin = rope_table(self.config.rope, self.config.qk_rope_head_dim, positions)
        table = cos[..., None, :], sin[..., None, :]  # over heads
        mask = document_mask(documents)
        x_BTD = self.embed_tokens(ids_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, table, mask)
        return cast(Tensor, self.norm(x_BTD))


def document_mask(documents_BT: Tensor | None) -> Tensor | None:
    """True where a token may look, `(B, 1, T, T)`; None stands for plain causal."""
    if documents_BT is None:
        return None
    same = documents_BT[:, :, None] == documents_BT[:, None, :]
    return same.tril()[:, None]


class DeepSeek(nn.Module):
    """The whole model, with the interface of the engine's reference `Model`."""

    def __init__(self, config: DeepSeekConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None, std: float = 0.02) -> None:
        """Fresh weights."""
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0.0, std, generator=generator)
            else:
                parameter.fill_(1.0)

    def hidden(
        self, ids_BT: Tensor, positions: Tensor | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Normed states `(B, T, D)` before the head; arguments as for `forward`."""
        if positions is None:
            positions = torch.arange(ids_BT.shape[1], device=ids_BT.device)[None]
        return cast(Tensor, self.model(ids_BT, positions, documents))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary for states of `hidden`, of any leading shape."""
        return cast(Tensor, self.lm_head(hidden))

    def forward(
        self, ids_BT: Tensor, positions: Tensor | None = None, documents: Tensor | None = None
    ) -> Tensor:
        """Logits `(B, T, V)` of int64 `ids_BT`. `positions` `(B or 1, T)` default to 0, 1, …;
        `documents` `(B, T)` number the packed document of each token: attention never crosses a
        change of number."""
        return self.logits(self.hidden(ids_BT, positions, documents))

    def routers(self) -> list[Router]:
        """Those of all layers with experts."""
        return [module for module in self.modules() if isinstance(module, Router)]
