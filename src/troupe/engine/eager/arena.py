"""The memory in which keys and values lie: pages of `PAGE` tokens, a tensor for each layer that
makes its own.

Which page belongs to whom is `kv`'s business; this file only stores, copies and gathers.
Called by `model.py` and, to copy a page, by the worker.
"""

from __future__ import annotations

import mmap

import torch
from torch import Tensor

from troupe.engine.config import LayerType, ModelConfig
from troupe.engine.steps import PAGE


class EagerArena:
    """Float32 keys and values of `pages` pages. Memory is taken from the system as it is touched,
    so an unused budget costs nothing."""

    def __init__(self, config: ModelConfig, pages: int) -> None:
        self.pages = pages
        self._config = config
        self._layers: dict[int, Tensor] = {}
        for layer in range(config.first_shared_layer):
            shape = (pages * PAGE, config.num_key_value_heads, 2, config.dim(layer))
            self._layers[layer] = _lazy_zeros(shape)
        # Where `gather` copies to, by layer type: memory used again is not faulted in again.
        self._gathered: dict[LayerType, Tensor] = {}

    @staticmethod
    def token_bytes(config: ModelConfig) -> int:
        """Bytes that one token's keys and values take."""
        heads = config.num_key_value_heads
        return sum(heads * 2 * config.dim(i) * 4 for i in range(config.first_shared_layer))

    def write(self, layer: int, slots: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store `(R, kv heads, K)` keys and values at token slots `page * PAGE + offset`, int64."""
        self._layers[layer].index_copy_(0, slots, torch.stack([keys, values], dim=2))

    def gather(self, layer: int, pages: Tensor) -> Tensor:
        """Copy pages (any shape, int64) out: `(pages.numel() * PAGE, kv heads, 2, K)`.

        The result is overwritten by the next gather from a layer of the same type.
        """
        store = self._layers[layer]
        by_page = store.view(self.pages, -1)
        kind, count = self._config.layer_types[layer], pages.numel()
        buffer = self._gathered.get(kind)
        if buffer is None or buffer.shape[0] < count:
            buffer = self._gathered[kind] = torch.empty(count, by_page.shape[1])
        torch.index_select(by_page, 0, pages.flatten(), out=buffer[:count])
        return buffer[:count].view(-1, *store.shape[1:])

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` of a page onto another page, in every layer."""
        for store in self._layers.values():
            paged = store.view(self.pages, PAGE, *store.shape[1:])
            paged[target, :tokens] = paged[source, :tokens]


def _lazy_zeros(shape: tuple[int, ...]) -> Tensor:
    """Zeros that take no memory until written. (Zeros, not junk: unused slots are multiplied by a
    weight of exactly zero, which junk that happens to be NaN would survive.)"""
    count = 1
    for size in shape:
        count *= size
    return torch.frombuffer(mmap.mmap(-1, count * 4), dtype=torch.float32).view(shape)
