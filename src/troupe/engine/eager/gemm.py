"""Products and functions whose every row comes out the same, whatever rows stand beside it.

Floating-point sums depend on their order, and a BLAS library may choose another order for another
number of rows. A result that depended on batch-mates could not be cached and compared. So rows are
padded to one of a few fixed counts, and each count is tried on this machine, with these weights,
before it is used; where a machine fails the trial, rows go in tiles of one fixed size, or one by
one. Functions such as `exp` differ in the last bit between torch's vector loop and the scalar loop
that ends it, so they see whole vectors only. Called by `model.py` and `attention.py`; knows nothing
of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

import torch
from torch import Tensor

from troupe.engine.steps import MAX_ROWS

TILE = 4
BUCKETS = (4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
assert BUCKETS[-1] == MAX_ROWS

VECTORS = 32  # elements that torch's vector loops take at a time, at most (two AVX-512 registers)
_SERIAL = 16_384  # elements that torch never splits between threads (least of its grain sizes)


class RowOrder(Enum):
    """How rows are fed to the library so that each one's sums keep their order."""

    WIDE = "all rows at once, padded to a bucket"
    TILED = "tiles of four rows"
    SINGLE = "one row at a time"


def padded_rows(rows: int) -> int:
    """The smallest bucket that holds `rows` (1 to `MAX_ROWS`)."""
    return next(bucket for bucket in BUCKETS if bucket >= rows)


def product(x_MK: Tensor, weight_KN: Tensor, order: RowOrder) -> Tensor:
    """`x @ weight`, `(M, N)` float32; M must be a bucket. (Weights lie input-first: read as they
    lie, a few rows take half the time that they take against rows of outputs.)"""
    if order is RowOrder.WIDE:
        return torch.mm(x_MK, weight_KN)
    size = TILE if order is RowOrder.TILED else 1
    return torch.cat([torch.mm(tile, weight_KN) for tile in torch.split(x_MK, size)])


def elementwise(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function` of each element of a contiguous tensor whose size is a multiple of `VECTORS`.

    In pieces that no thread pool cuts: a cut could leave a scalar loop anywhere.
    """
    assert x.numel() % VECTORS == 0, "a scalar loop would end this"
    if x.numel() <= _SERIAL:
        return function(x)
    pieces = [function(piece) for piece in torch.split(x.view(-1), _SERIAL)]
    return torch.cat(pieces).view(x.shape)


def choose_order(weights: Iterable[Tensor], buckets: tuple[int, ...] = BUCKETS) -> RowOrder:
    """Try this machine's library on one weight of each shape, and take the fastest order in which
    no row's result depends on the number of rows, on its place among them, or on the others."""
    shapes = {tuple(weight.shape): weight for weight in weights}
    for order, counts in ((RowOrder.WIDE, buckets), (RowOrder.TILED, buckets[:1])):
        if all(_rows_keep(weight, counts) for weight in shapes.values()):
            return order
    return RowOrder.SINGLE


def _rows_keep(weight_KN: Tensor, counts: tuple[int, ...]) -> bool:
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(weight_KN.shape[0], generator=generator)
    expected: Tensor | None = None
    for count in counts:
        for place in {0, 1, count // 2, count - 1}:
            x_MK = torch.randn(count, weight_KN.shape[0], generator=generator)
            x_MK[place] = probe
            actual = torch.mm(x_MK, weight_KN)[place]
            expected = actual if expected is None else expected
            if not torch.equal(actual, expected):
                return False
    return True
