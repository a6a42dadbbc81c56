"""The instruction sets of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from troupe.engine.native import library


@pytest.fixture
def best() -> Iterator[None]:
    """Give back the instruction set that was in use."""
    before = library.instruction_set()
    yield
    library.use(before)


@pytest.fixture
def sets() -> list[str]:
    """Those that this machine has, the best last."""
    known = ["portable", "avx2", "avx512"]
    return known[: 1 + known.index(library.instruction_set())]
