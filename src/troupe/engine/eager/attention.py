"""Attention of a few rows over paged keys and values, in an order that batching cannot change.

Keys are taken in blocks of `BLOCK` positions at fixed places in the sequence. A row's products are
of one shape (its heads by one block) whatever else runs beside it; blocks are summed one after the
other, and a block that a row does not see adds exact zeros. So a row's result depends on its own
sequence alone. Called by `model.py`.

Letters: N blocks, R rows, H heads, G key-value heads, K head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from troupe.engine.eager.arena import EagerArena
from troupe.engine.eager.gemm import elementwise
from troupe.engine.steps import PAGE, SCRATCH_PAGE

BLOCK = 128  # key positions
PAGES_PER_BLOCK = BLOCK // PAGE


@dataclass(frozen=True, slots=True)
class View:
    """What a group of rows looks at in one kind of layer.

    `one_sequence`: all rows read the same blocks (a prefill chunk); otherwise each row has blocks
    of its own (decodes of many sequences).
    """

    pages: Tensor  # (N, R or 1, PAGES_PER_BLOCK) int64
    hidden: Tensor  # (N, R, 1, BLOCK) bool: true where a row must not look
    one_sequence: bool

    @property
    def blocks(self) -> int:
        return self.pages.shape[0]


def view(positions: Sequence[int], tables: Sequence[Sequence[int]], window: int | None) -> View:
    """Lay out the blocks that rows at `positions` see; `tables` has one page table for all rows,
    or one for each. `window` is how many positions a row sees, itself included; None is all."""
    reach = window if window is not None else max(positions) + 1
    one_sequence = len(tables) == 1
    if one_sequence:
        firsts = [max(0, min(positions) - reach + 1) // BLOCK]
        count = max(positions) // BLOCK - firsts[0] + 1
    else:
        firsts = [max(0, p - reach + 1) // BLOCK for p in positions]
        count = max(p // BLOCK - first + 1 for p, first in zip(positions, firsts, strict=True))
    span = count * PAGES_PER_BLOCK
    pages = []
    for first, table in zip(firsts, tables, strict=True):
        mine = list(table[first * PAGES_PER_BLOCK : first * PAGES_PER_BLOCK + span])
        pages.append(mine + [SCRATCH_PAGE] * (span - len(mine)))
    pages_RNP = torch.tensor(pages).view(len(tables), count, PAGES_PER_BLOCK)
    start_R = torch.tensor(firsts) * BLOCK
    offsets = torch.arange(count * BLOCK).view(count, 1, BLOCK)
    key_positions = offsets + start_R[None, :, None]
    row_positions = torch.tensor(positions)[None, :, None]
    hidden = (key_positions > row_positions) | (key_positions <= row_positions - reach)
    return View(pages_RNP.transpose(0, 1).contiguous(), hidden[:, :, None], one_sequence)


def gather(arena: EagerArena, layer: int, view: View) -> Tensor:
    """Keys and values of the view's blocks: `(N * R or N, BLOCK, G, 2, K)`."""
    gathered = arena.gather(layer, view.pages)
    return gathered.view(-1, BLOCK, *gathered.shape[1:])


def attend(queries_RHK: Tensor, gathered: Tensor, view: View) -> Tensor:
    """Attention output `(R, H, K)` float32; scale 1."""
    kv_heads = gathered.shape[2]
    if kv_heads == 1:
        return _attend_head(queries_RHK, gathered[:, :, 0, 0], gathered[:, :, 0, 1], view)
    outputs = [
        _attend_head(queries, gathered[:, :, g, 0], gathered[:, :, g, 1], view)
        for g, queries in enumerate(queries_RHK.chunk(kv_heads, dim=1))
    ]
    return torch.cat(outputs, dim=1)


def _attend_head(queries_RHK: Tensor, keys: Tensor, values: Tensor, view: View) -> Tensor:
    R, H, K = queries_RHK.shape
    N = view.blocks
    keys_t = keys.transpose(1, 2)
    if view.one_sequence:
        scores = torch.empty(N, R, H, BLOCK)
        for n in range(N):
            torch.bmm(queries_RHK, keys_t[n].expand(R, K, BLOCK), out=scores[n])
    else:
        repeated = queries_RHK.expand(N, R, H, K).reshape(N * R, H, K)
        scores = torch.bmm(repeated, keys_t).view(N, R, H, BLOCK)
    scores.masked_fill_(view.hidden, -torch.inf)
    weights = elementwise(torch.exp, scores.sub_(scores.amax(dim=(0, 3), keepdim=True)))
    if view.one_sequence:
        parts = torch.empty(N, R, H, K)
        for n in range(N):
            torch.bmm(weights[n], values[n].expand(R, BLOCK, K), out=parts[n])
    else:
        parts = torch.bmm(weights.view(N * R, H, BLOCK), values).view(N, R, H, K)
    totals = weights.sum(dim=-1, keepdim=True)
    return _add_in_order(parts) / _add_in_order(totals)


def _add_in_order(parts: Tensor) -> Tensor:
    """Sum over the first dimension, strictly one after the other (a plain sum may pair them)."""
    return parts[0] if parts.shape[0] == 1 else parts.cumsum(dim=0)[-1]
