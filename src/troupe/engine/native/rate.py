"""What one thread could do at best: the rate of the operator's integer product where memory is no
matter, that of a bare loop in registers, and that of reading memory. The floor of a step and its
utilisation are measured by them."""

from __future__ import annotations

import ctypes
import time

import numpy as np

from troupe.engine.native import library
from troupe.engine.native.pack import pack

ROWS, INPUTS, OUTPUTS = 64, 256, 512  # rounding the rows is a tenth of the time


def operation_rate(rounds: int = 300) -> float:
    """Multiplications and additions a second of one thread, on data in the second-level cache:
    the best of so many rounds."""
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


def register_rate(rounds: int = 200) -> float:
    """Multiplications and additions of bytes a second of one thread that does nothing else: no
    loads, no rounding, no results. The best of so many rounds, of about 5 microseconds each."""
    multiply, best = library.load().troupe_multiply, 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        done = multiply(3000)
        best = max(best, done / (time.perf_counter() - began))
    return best


def read_rate(size: int = 256 * 2**20, part: int = 2**20) -> float:
    """Bytes a second that one thread reads from memory: each part of so many bytes at its best of
    seven passes, so that other work on the machine counts little."""
    data = np.ones(size, np.uint8)
    read, addresses = (
        library.load().troupe_read,
        range(data.ctypes.data, data.ctypes.data + size, part),
    )
    best = np.full(len(addresses), np.inf)
    for _ in range(7):
        for i, address in enumerate(addresses):
            began = time.perf_counter()
            read(address, part)
            best[i] = min(best[i], time.perf_counter() - began)
    return size / float(best.sum())
