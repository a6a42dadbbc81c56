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

from troupe.engine.config import ModelConfig

PAGE = 16  # tokens
SCRATCH_PAGE = 0  # padding may be written here; no sequence owns it
MAX_ROWS = 512  # tokens of a step

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """Successive tokens of one sequence to run now: one for a decode, many for a prefill chunk.

    `pages` covers the sequence from position 0 to the span's end, and holds keys and values of all
    positions before `start`.
    """

    tokens: Sequence[int]
    start: int
    pages: Sequence[int]
    wants_logits: bool  # of its last token


class Arena(Protocol):
    """Where keys and values lie."""

    pages: int

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` of a page onto another page, in every layer."""
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

        Returns logits `(spans that want them, vocabulary)`, in the order of `spans`. A row's
        logits depend on its own sequence's tokens and on nothing else.
        """
        ...


@dataclass(frozen=True, slots=True)
class Backend(Generic[A]):
    """One way to compute steps."""

    name: str
    token_bytes: Callable[[ModelConfig], int]  # of one token's keys and values
    arena: Callable[[ModelConfig, int], A]  # of so many pages
    load: Callable[[Path, int, int], StepModel[A]]  # folder, longest sequence, threads


AnyBackend = Backend[Any]
