"""The memory in which int8 keys and values lie: for each layer that makes its own, pages of `PAGE`
tokens.

The layout is that of `kernels.h`: for each page and head, keys as a block of 16 outputs, values as
16 rows, then a scale for each. Which page belongs to whom is `kv`'s business.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from troupe.engine.config import ModelConfig
from troupe.engine.steps import GLOBAL, PAGE, Bytes, layer_groups

SCALES = 2 * 4  # bytes a token and head: a float for the key, one for the value


def page_stride(config: ModelConfig, layer: int) -> int:
    """Bytes of one head's keys and values in a page."""
    return PAGE * (2 * config.dim(layer) + SCALES)


def token_bytes(config: ModelConfig, layers: Sequence[int] | None = None) -> int:
    """Bytes that one token's keys and values take: in these layers, or in all."""
    chosen = range(config.first_shared_layer) if layers is None else layers
    strides = [page_stride(config, layer) for layer in chosen]
    return config.num_key_value_heads * sum(strides) // PAGE


class NativeArena:
    """Keys and values of `pages` pages; with `local_pages`, sliding layers have so many pages of
    their own. Memory is taken from the system as it is touched, so an unused budget costs
    nothing."""

    def __init__(self, config: ModelConfig, pages: int, local_pages: int | None = None) -> None:
        self.counts = (pages,) if local_pages is None else (pages, local_pages)
        self._groups = layer_groups(config, len(self.counts))
        self._memory: dict[int, NDArray[np.uint8]] = {}
        for count, layers in zip(self.counts, self._groups, strict=True):
            for layer in layers:
                size = config.num_key_value_heads * page_stride(config, layer)
                memory = np.frombuffer(mmap.mmap(-1, count * size), dtype=np.uint8)
                self._memory[layer] = memory.reshape(count, size)
        own = range(config.first_shared_layer)
        self.caches = np.array([self._memory[i].ctypes.data for i in own], dtype=np.uint64)

    @property
    def pages(self) -> int:
        return self.counts[GLOBAL]

    @property
    def page_bytes(self) -> tuple[int, ...]:
        return tuple(sum(self._memory[i].shape[1] for i in layers) for layers in self._groups)

    def copy(self, source: int, target: int, tokens: int, group: int = GLOBAL) -> None:  # noqa: ARG002
        """Copy a page onto another, in every layer of the group; what lies beyond the first
        `tokens` is written before it is read."""
        for layer in self._groups[group]:
            self._memory[layer][target] = self._memory[layer][source]

    def read(self, group: int, pages: Sequence[int]) -> Bytes:
        """Copy pages out: `(pages, page_bytes[group])` uint8."""
        chosen = np.array(pages, np.int64)
        return np.concatenate([self._memory[i][chosen] for i in self._groups[group]], axis=1)

    def write(self, group: int, pages: Sequence[int], data: Bytes) -> None:
        """Put back what `read` gave, on these pages."""
        chosen, start = np.array(pages, np.int64), 0
        for layer in self._groups[group]:
            memory = self._memory[layer]
            memory[chosen] = data[:, start : start + memory.shape[1]]
            start += memory.shape[1]
