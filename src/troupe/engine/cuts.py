"""From logits to a token, for all rows of a step at once: temperature, min-p, top-k, top-p, a draw.

Each operation goes by element or along a row, so a row's result is the same, bit for bit, alone and
beside others. Cuts are thresholds on a token's weight: tokens as likely as the last one kept are
kept too. Pure; called by `sampler.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Floats

HEADS = (256, 4096)  # of a row's weights, tried before the whole row is sorted
PARTS = 32  # weights of a part, of whose heaviest a long row's heaviest are found
BLOCK = 128  # weights summed together when a token is drawn
NO_TOKEN = -1

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


def softmax(logits_V: Floats) -> Floats:
    """Probabilities of logits; -inf stands for impossible."""
    weights: Floats = np.exp(logits_V - logits_V.max(), dtype=np.float32)
    weights /= weights.sum()
    return weights


def weigh(logits_RV: Floats, params: Sequence[SamplingParams]) -> Floats:
    """Weights `(R, V)` to draw by, the likeliest token's 1 and those cut off 0.

    In the order of vLLM: temperature, min-p, top-k, top-p of what those leave. Temperatures are
    above zero. A row whose logits are no numbers gets weights that are none.
    """
    size = logits_RV.shape[1]
    temperature_R = np.array([p.temperature for p in params], np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        weights_RV: Floats = logits_RV - logits_RV.max(axis=1, keepdims=True)
        weights_RV /= temperature_R[:, None]
        np.exp(weights_RV, out=weights_RV)
    floor_R = np.array([p.min_p for p in params], np.float32)
    top_k_R = np.array([p.top_k if p.top_k < size else 0 for p in params])
    top_p_R = np.array([p.top_p for p in params], np.float64)
    cut = ((top_k_R > 0) | (top_p_R < 1.0)).nonzero()[0]
    if cut.size:
        some = weights_RV if cut.size == len(params) else weights_RV[cut]
        floor_R[cut] = _floors(some, floor_R[cut], top_k_R[cut], top_p_R[cut])
    if floor_R.any():
        weights_RV *= weights_RV >= floor_R[:, None]
    return weights_RV


def _floors(weights_RV: Floats, floor_R: Floats, top_k_R: Ints, top_p_R: Doubles) -> Floats:
    """The least weight that each row keeps. Most rows are settled by their heaviest few."""
    size = weights_RV.shape[1]
    # What top-p is of, where nothing else cuts; where something does, that says.
    total_R = np.zeros(len(weights_RV))
    if not ((top_k_R > 0) | (floor_R > 0)).all():
        total_R = _sums(weights_RV)[:, -1]
    floors_R, left = floor_R.copy(), np.arange(len(weights_RV))
    for most in (*(head for head in HEADS if head < size), size):
        some = weights_RV if left.size == len(weights_RV) else weights_RV[left]
        if most < size:
            some = _heaviest(some, most)
        wanted = (total_R[left], floor_R[left], top_k_R[left], top_p_R[left])
        found_R, settled_R = _from_heaviest(some, *wanted)
        floors_R[left] = found_R
        left = left[~settled_R]
        if not left.size:
            break
    return floors_R


def _heaviest(weights_RV: Floats, most: int) -> Floats:
    """The `most` heaviest weights of each row, in any order. Of a long row, only parts whose
    heaviest is among the heaviest of all parts are looked at: they hold them all."""
    count, size = weights_RV.shape
    if size >= 2 * PARTS * most:
        whole = size // PARTS * PARTS
        parts = weights_RV[:, :whole].reshape(count, PARTS, -1)  # each strewn over the row
        peaks = parts.max(axis=1)
        chosen = np.argpartition(peaks, peaks.shape[1] - most, axis=1)[:, -most:]
        inside = np.take_along_axis(parts, chosen[:, None, :], axis=2).reshape(count, -1)
        weights_RV = np.concatenate([inside, weights_RV[:, whole:]], axis=1)
        size = weights_RV.shape[1]
    return np.partition(weights_RV, size - most, axis=1)[:, size - most :]


def _from_heaviest(
    weights_RK: Floats, total_R: Doubles, floor_R: Floats, top_k_R: Ints, top_p_R: Doubles
) -> tuple[Floats, NDArray[np.bool_]]:
    """Thresholds from the `K` heaviest weights of each row, and where those were enough."""
    sorted_RK = -np.sort(-weights_RK, axis=1)
    rows, most = np.arange(len(sorted_RK)), sorted_RK.shape[1]
    kth_R = sorted_RK[rows, np.clip(top_k_R, 1, most) - 1]
    floor_R = np.where(top_k_R > 0, np.maximum(floor_R, kth_R), floor_R)
    settled_R = top_k_R <= most
    nucleus_R = top_p_R < 1.0
    if nucleus_R.any():
        limited_R = floor_R > 0
        kept_RK = sorted_RK * (sorted_RK >= floor_R[:, None])
        sums_RB = _sums(kept_RK)
        mass_R = np.where(limited_R, sums_RB[:, -1], total_R)
        last_R = _reaching(kept_RK, sums_RB, _below(top_p_R * mass_R, mass_R))
        enough_R = np.where(limited_R, kept_RK[:, -1] == 0, top_p_R * mass_R < sums_RB[:, -1])
        settled_R &= ~nucleus_R | enough_R
        least_R = sorted_RK[rows, last_R]
        floor_R = np.where(nucleus_R, np.maximum(floor_R, least_R), floor_R)
    return floor_R, settled_R


def exclude_top(weights_V: Floats, threshold: float) -> None:
    """XTC, in place: where several tokens have at least `threshold` of the probability, only the
    least likely of them stays (p-e-w's sampler, as in text-generation-webui and llama.cpp)."""
    top = weights_V >= np.float32(threshold) * weights_V.sum()
    heavy = weights_V[top]
    if heavy.size > 1:
        weights_V[top] *= heavy == heavy.min()


def pick(weights_RV: Floats, uniform_R: Doubles) -> Ints:
    """Tokens `(R,)` drawn by weight with one uniform number in [0, 1) a row; `NO_TOKEN` where the
    weights are no numbers."""
    sums_RB = _sums(weights_RV)
    total_R = sums_RB[:, -1]
    token_R = _reaching(weights_RV, sums_RB, _below(uniform_R * total_R, total_R))
    return np.where(np.isfinite(total_R) & (total_R > 0), token_R, NO_TOKEN)


def _sums(weights_RV: Floats) -> Doubles:
    """Weights up to the end of each block of `BLOCK`, so that no row is summed one by one."""
    count, size = weights_RV.shape
    whole = size // BLOCK * BLOCK
    blocks = weights_RV[:, :whole].reshape(count, -1, BLOCK).sum(axis=2)
    if whole < size:
        blocks = np.column_stack([blocks, weights_RV[:, whole:].sum(axis=1)])
    return np.cumsum(blocks, axis=1, dtype=np.float64)


def _reaching(weights_RV: Floats, sums_RB: Doubles, target_R: Doubles) -> Ints:
    """The first place of each row where the weights so far exceed the target: the block, then the
    place in it. The weight there is never zero."""
    rows, size = np.arange(len(weights_RV)), weights_RV.shape[1]
    block_R = np.minimum((sums_RB <= target_R[:, None]).sum(axis=1), sums_RB.shape[1] - 1)
    before_R = np.where(block_R > 0, sums_RB[rows, block_R - 1], 0.0)
    columns = block_R[:, None] * BLOCK + np.arange(BLOCK)
    inside = weights_RV[rows[:, None], np.minimum(columns, size - 1)]
    reached = np.cumsum(np.where(columns < size, inside, 0), axis=1, dtype=np.float64)
    target_R = _below(target_R - before_R, reached[:, -1])
    place_R = block_R * BLOCK + (reached <= target_R[:, None]).sum(axis=1)
    least: Ints = np.minimum(place_R, size - 1)
    return least


def _below(target_R: Doubles, total_R: Doubles) -> Doubles:
    """Targets under their totals, whatever was rounded up."""
    return np.minimum(target_R, np.nextafter(total_R, 0.0))
