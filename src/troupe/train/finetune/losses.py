"""What fine-tuning minimises. Every loss is a sum, for the loop to divide by the whole step's
count: so it depends neither on microbatches nor on padding or packing.

Sources: DPO, Rafailov et al. 2023 (2305.18290, equation 7); IPO, Azar et al. 2023 (2310.12036,
equation 17, on log-probabilities a token, as its authors use it); KTO, Ethayarajh et al. 2024
(2402.01306, equation 8). Shapes: N documents, P pairs. Called by `methods.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from troupe.train.data import Batch
from troupe.train.models.folders import TrainModel


def token_losses(model: TrainModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats of each supervised token, float32 `(S,)`, and where in the batch they
    are, bool `(B, T)`. Only their logits are computed."""
    hidden = model.hidden(batch.ids, batch.positions, batch.documents)
    chosen = batch.weights > 0
    logits = model.logits(hidden[chosen]).float()
    return F.cross_entropy(logits, batch.targets[chosen], reduction="none"), chosen


def imitation_loss(model: TrainModel, batch: Batch) -> Tensor:
    """Sum over the supervised tokens of cross-entropy by weight, in nats."""
    losses, chosen = token_losses(model, batch)
    return (losses * batch.weights[chosen]).sum()


def answer_logps(model: TrainModel, batch: Batch, count: int) -> Tensor:
    """Log-probability of each document's supervised tokens together, float32 `(N,)` for `count`
    documents, numbered in `batch.documents` over all rows."""
    losses, chosen = token_losses(model, batch)
    return torch.zeros(count).index_add(0, batch.documents[chosen], -losses)


def dpo_loss(chosen_P: Tensor, rejected_P: Tensor, beta: float) -> Tensor:
    """Sum over pairs, from log-ratios of policy to reference of each side."""
    return -F.logsigmoid(beta * (chosen_P - rejected_P)).sum()


def ipo_loss(
    chosen_P: Tensor, rejected_P: Tensor, sizes: tuple[Tensor, Tensor], beta: float
) -> Tensor:
    """Sum over pairs, from log-ratios and the numbers of tokens that they are over."""
    margin = chosen_P / sizes[0] - rejected_P / sizes[1]
    return ((margin - 1 / (2 * beta)) ** 2).sum()


def kto_loss(
    ratios_N: Tensor, liked_N: Tensor, divergence: Tensor, beta: float, weights: tuple[float, float]
) -> Tensor:
    """Sum over answers, from log-ratios and thumbs. `divergence` (no gradient, not below zero) is
    the mean log-ratio of answers to other prompts; `weights` are of liked and of disliked ones."""
    liked = weights[0] * (1 - torch.sigmoid(beta * (ratios_N - divergence)))
    disliked = weights[1] * (1 - torch.sigmoid(beta * (divergence - ratios_N)))
    return torch.where(liked_N, liked, disliked).sum()
