"""The processes of a run, as `torchrun` started them; one alone is a run like any other.

Work is shared out so that every process makes the same number of passes through the model: sharded
parameters are gathered by all of them together. Called by the loop and the methods.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number among `count`."""

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it writes files and speaks to people."""
        return self.index == 0

    def share(self, items: Sequence[T]) -> Iterator[tuple[T, bool]]:
        """This process's items. False stands beside one that fills up the last round: it has to be
        run, and must not count."""
        for start in range(0, len(items), self.count):
            mine = start + self.index
            yield (items[mine], True) if mine < len(items) else (items[start], False)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, the same in each."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def sums(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Each figure summed over all processes; all have the same names."""
        names = sorted(figures)
        values = torch.tensor([figures[name] for name in names], dtype=torch.float64)
        return dict(zip(names, self.sum(values).tolist(), strict=True))

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def processes() -> Iterator[Ranks]:
    """The processes that `torchrun` started with this one, joined by gloo; alone without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    dist.init_process_group("gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
        dist.barrier()  # nobody hangs up while another still listens
    finally:
        dist.destroy_process_group()
