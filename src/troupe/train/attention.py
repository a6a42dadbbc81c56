"""Attention for training on a CPU: one key-value head, so all query heads become rows of it.

On a CPU without matrix tiles the fused kernel of torch 2.13 takes two to three times as long as
two matrix products and a softmax for rows of up to 512 tokens (bfloat16, one core: 27 against 76
ms forward and backward for 16 rows of 320), and as long for 1,024. Applied from outside to the
engine's reference model; the parameters and what is computed stay the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from troupe.engine.ref import Attention, Model, RopeTable

LONGEST = 512


class FoldedAttention(Attention):
    """`Attention` whose query heads are folded into the rows of their key-value head."""

    def forward(
        self, x_BTD: Tensor, kv: tuple[Tensor, Tensor], table: RopeTable, mask: Tensor | None
    ) -> Tensor:
        B, T, _ = x_BTD.shape
        if T > LONGEST or mask is None or self.kv_heads != 1:
            return super().forward(x_BTD, kv, table, mask)
        queries = self.queries(x_BTD, table).reshape(B, T * self.heads, self.dim)
        keys, values = kv[0][:, 0], kv[1][:, 0]
        scores = torch.bmm(queries, keys.transpose(1, 2)).view(B, T, self.heads, T) * self.scale
        bias = torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, float("-inf"))
        shares = torch.softmax(scores + bias.transpose(1, 2), dim=-1)
        out = torch.bmm(shares.view(B, T * self.heads, T), values)
        return self.o_proj(out.reshape(B, T, self.heads * self.dim))  # type: ignore[no-any-return]


def fold_attention(model: Model) -> None:
    """Let every layer attend this way; parameters and their names do not change."""
    for layer in model.model.layers:
        attention = layer.self_attn
        assert isinstance(attention, Attention)
        attention.__class__ = FoldedAttention
