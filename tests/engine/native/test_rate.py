"""What one thread can do at best, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest

from troupe.engine.native import library
from troupe.engine.native.rate import operation_rate, read_rate, register_rate


@pytest.mark.usefixtures("best")
def test_every_instruction_set_counts_operations_and_bytes(sets: list[str]) -> None:
    for name in sets:
        library.use(name)
        assert library.load().troupe_multiply(10) >= 320
        for rate in (operation_rate(2), register_rate(2), read_rate(2**20, 2**18)):
            assert 1e6 < rate < 1e16


@pytest.mark.usefixtures("best")
def test_reading_reads_all_there_is(sets: list[str]) -> None:
    data = np.arange(4096, dtype=np.int32)
    for name in sets:
        library.use(name)
        assert library.load().troupe_read(data.ctypes.data, data.nbytes) == data.sum()
