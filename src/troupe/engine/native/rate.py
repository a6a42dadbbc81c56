"""What the CPU operator could do at best: the rate of its integer product where memory is no
matter. The floor of a step and its utilisation are measured by it."""

from __future__ import annotations

import ctypes
import time

import numpy as np

from troupe.engine.native import library
from troupe.engine.native.pack import pack

ROWS, INPUTS, OUTPUTS = 64, 256, 64


def operation_rate(rounds: int = 300) -> float:
    """Multiplications and additions a second of one thread, on data in the first-level cache: the
    best of so many rounds, of about 50 microseconds each."""
    rng = np.random.default_rng(1)
    packed = pack(rng.normal(size=(OUTPUTS, INPUTS)).astype(np.float32))
    x = rng.normal(size=(ROWS, INPUTS)).astype(np.float32)
    out = np.empty((ROWS, OUTPUTS), np.float32)
    matrix, best = packed.matrix(), float("inf")
    product = library.load().troupe_product
    for _ in range(rounds):
        began = time.perf_counter()
        product(ctypes.byref(matrix), x.ctypes.data, ROWS, out.ctypes.data)
        best = min(best, time.perf_counter() - began)
    return 2 * ROWS * INPUTS * OUTPUTS / best
