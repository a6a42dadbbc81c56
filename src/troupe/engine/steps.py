"""What a step is, whatever computes it: spans of tokens in, logits out, keys and values in pages.

Two backends serve it: `native` (C++, int8, no torch) and `eager` (torch, float32). The worker steps
one of them and knows neither; `backends.py` chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from troupe.engine.config import SLIDING, ModelConfig

PAGE = 16  # tokens
SCRATCH_PAGE = 0  # padding may be written here; no sequence owns it
MAX_ROWS = 512  # tokens of a step

GLOBAL, LOCAL = 0, 1  # groups of layers, each with pages of its own

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Span:
    """Successive tokens of one sequence to run now: one for a decode, many for a prefill chunk.

    `pages` covers the sequence from position 0 to the span's end, and holds keys and values of all
    positions before `start`. `local` is the same for the sliding layers of an arena in which those
    have pages of their own: what lies farther back than their window may be `SCRATCH_PAGE`.
    """

    tokens: Sequence[int]
    start: int
    pages: Sequence[int]
    wants_logits: int  # of so many of its last tokens; True is of the last one
    local: Sequence[int] | None = None  # None: sliding layers use `pages` too


def layer_groups(config: ModelConfig, groups: int) -> tuple[tuple[int, ...], ...]:
    """The layers that make keys and values: as one group, or as those of full attention (`GLOBAL`)
    and the sliding ones (`LOCAL`)."""
    layers = range(config.first_shared_layer)
    if groups == 1:
        return (tuple(layers),)
    local = tuple(i for i in layers if config.layer_types[i] == SLIDING)
    return tuple(i for i in layers if i not in local), local


class Arena(Protocol):
    """Where keys and values lie: pages of each group of layers, numbered from 0."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Pages of each group, scratch page included."""
        ...

    @property
    def page_bytes(self) -> tuple[int, ...]:
        """Bytes of a page of each group."""
        ...

    def copy(self, source: int, target: int, tokens: int, group: int = GLOBAL) -> None:
        """Copy the first `tokens` of a page onto another page, in every layer of the group."""
        ...

    def read(self, group: int, pages: Sequence[int]) -> Bytes:
        """Copy pages out: `(pages, page_bytes[group])` uint8."""
        ...

    def write(self, group: int, pages: Sequence[int], data: Bytes) -> None:
        """Put back what `read` gave, on these pages."""
        ...


A_contra = TypeVar("A_contra", bound=Arena, contravariant=True)
A = TypeVar("A", bound=Arena)


class StepModel(Protocol[A_contra]):
    """A model ready to run. Not thread-safe: one worker calls it."""

    @property
    def how(self) -> str:
        """What computes, for the log."""
        ...

    def step(self, spans: Sequence[Span], arena: A_contra) -> Floats:
        """Run all spans (`MAX_ROWS` tokens at most), storing their keys and values in `arena`.

        Returns logits `(rows that are wanted, vocabulary)`, in the order of `spans`. A row's
        logits depend on its own sequence's tokens and on nothing else.
        """
        ...


@dataclass(frozen=True, slots=True)
class Backend(Generic[A]):
    """One way to compute steps."""

    name: str
    token_bytes: Callable[..., int]  # (config, layers or all): of one token's keys and values
    arena: Callable[..., A]  # (config, pages, local pages or None)
    load: Callable[[Path, int, int], StepModel[A]]  # folder, longest sequence, threads
    rate: Callable[[int], float]  # threads: operations a second at best, measured when called
    version: Callable[[], str]  # of the code that computes: kept numbers of another are not used


AnyBackend = Backend[Any]
