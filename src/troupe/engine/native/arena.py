"""The memory in which int8 keys and values lie: for each layer that makes its own, pages of `PAGE`
tokens.

The layout is that of `kernels.h`: for each page and head, keys as a block of 16 outputs, values as
16 rows, then a scale for each. Which page belongs to whom is `kv`'s business.
"""

from __future__ import annotations

import mmap

import numpy as np
from numpy.typing import NDArray

from troupe.engine.config import ModelConfig
from troupe.engine.steps import PAGE

SCALES = 2 * 4  # bytes a token and head: a float for the key, one for the value


def page_stride(config: ModelConfig, layer: int) -> int:
    """Bytes of one head's keys and values in a page."""
    return PAGE * (2 * config.dim(layer) + SCALES)


def token_bytes(config: ModelConfig) -> int:
    """Bytes that one token's keys and values take, in all layers."""
    heads = config.num_key_value_heads
    strides = [page_stride(config, layer) for layer in range(config.first_shared_layer)]
    return heads * sum(strides) // PAGE


class NativeArena:
    """Keys and values of `pages` pages. Memory is taken from the system as it is touched, so an
    unused budget costs nothing."""

    def __init__(self, config: ModelConfig, pages: int) -> None:
        self.pages = pages
        self.layers: list[NDArray[np.uint8]] = []
        for layer in range(config.first_shared_layer):
            size = config.num_key_value_heads * page_stride(config, layer)
            memory = np.frombuffer(mmap.mmap(-1, pages * size), dtype=np.uint8)
            self.layers.append(memory.reshape(pages, size))
        self.caches = np.array([m.ctypes.data for m in self.layers], dtype=np.uint64)

    def copy(self, source: int, target: int, tokens: int) -> None:  # noqa: ARG002
        """Copy a page onto another, in every layer; what lies beyond the first `tokens` is written
        before it is read."""
        for memory in self.layers:
            memory[target] = memory[source]
