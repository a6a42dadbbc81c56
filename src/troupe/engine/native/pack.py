"""Float weights as the operator wants them: int8 with a scale for each output, in blocks. Pure.

The layout is that of `kernels.h`. Rounding is symmetric, to the nearest, with the largest weight of
an output at 127.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from troupe.engine.native import library
from troupe.engine.steps import Floats

LAYOUT = 1  # raise it when what follows packs differently: files packed before are made anew
LANES = 16  # outputs of a block
QUAD = 4  # inputs that are multiplied at a time


@dataclass(frozen=True, slots=True)
class Packed:
    """`blocks` `(outputs / 16, inputs / 4, 16, 4)` uint8: int8 weights plus 128; `scale`
    `(outputs,)` float32."""

    blocks: NDArray[np.uint8]
    scale: Floats

    def matrix(self) -> library.Matrix:
        """What the operator is given; the arrays must outlive it."""
        return library.Matrix(
            self.blocks.ctypes.data,
            self.scale.ctypes.data,
            self.blocks.shape[1] * QUAD,
            self.scale.shape[0],
        )


def pack(*weights: Floats) -> Packed:
    """Pack `(outputs, inputs)` matrices of one input, one under the other."""
    weight = np.concatenate(weights)
    outputs, inputs = weight.shape
    largest = np.maximum(weight.max(axis=1), -weight.min(axis=1))
    scale = (largest / 127.0).astype(np.float32)
    weight /= np.where(scale == 0.0, 1.0, scale)[:, None]
    np.rint(weight, out=weight)
    weight += 128.0
    blocks, quads = -(-outputs // LANES), -(-inputs // QUAD)
    padded = np.full((blocks * LANES, quads * QUAD), 128, np.uint8)
    padded[:outputs, :inputs] = weight
    words = padded.view(np.uint32).reshape(blocks, LANES, quads)  # four inputs move as one
    moved = np.ascontiguousarray(words.transpose(0, 2, 1))
    return Packed(moved.view(np.uint8).reshape(blocks, quads, LANES, QUAD), scale)


def bfloat16(values: Floats) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16 values, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
