"""What torch could do at best on this machine's processor: the rate of its product of matrices."""

from __future__ import annotations

import time

import torch

SIZE = 512


def operation_rate(rounds: int = 20) -> float:
    """Multiplications and additions a second, float32, with as many threads as torch has been
    given: the best of so many rounds."""
    a = torch.ones(SIZE, SIZE)
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - began)
    return 2 * SIZE**3 / best
