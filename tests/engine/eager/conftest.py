"""Torch on one thread: its threads wait for one another by spinning, which a busy machine, as one
that runs tests beside each other is, punishes a hundredfold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
