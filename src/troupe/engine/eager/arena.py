"""The memory in which keys and values lie: pages of `PAGE` tokens, a tensor for each layer that
makes its own.

Which page belongs to whom is `kv`'s business; this file only stores, copies and gathers.
Called by `model.py` and, to copy and move pages, by `kv`.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from troupe.engine.config import LayerType, ModelConfig
from troupe.engine.steps import GLOBAL, PAGE, Bytes, layer_groups


class EagerArena:
    """Float32 keys and values of `pages` pages; with `local_pages`, sliding layers have so many
    pages of their own. Memory is taken from the system as it is touched, so an unused budget costs
    nothing."""

    def __init__(self, config: ModelConfig, pages: int, local_pages: int | None = None) -> None:
        self.counts = (pages,) if local_pages is None else (pages, local_pages)
        self._groups = layer_groups(config, len(self.counts))
        self._config = config
        self._layers: dict[int, Tensor] = {}
        for count, layers in zip(self.counts, self._groups, strict=True):
            for layer in layers:
                shape = (count * PAGE, config.num_key_value_heads, 2, config.dim(layer))
                self._layers[layer] = _lazy_zeros(shape)
        # Where `gather` copies to, by layer type: memory used again is not faulted in again.
        self._gathered: dict[LayerType, Tensor] = {}

    @property
    def pages(self) -> int:
        return self.counts[GLOBAL]

    @property
    def page_bytes(self) -> tuple[int, ...]:
        return tuple(sum(self._by_page(i).shape[1] for i in layers) for layers in self._groups)

    @staticmethod
    def token_bytes(config: ModelConfig, layers: Sequence[int] | None = None) -> int:
        """Bytes that one token's keys and values take: in these layers, or in all."""
        chosen = range(config.first_shared_layer) if layers is None else layers
        return sum(config.num_key_value_heads * 2 * config.dim(i) * 4 for i in chosen)

    def store(self, layer: int, slots: Tensor, keys: Tensor, values: Tensor) -> None:
        """Store `(R, kv heads, K)` keys and values at token slots `page * PAGE + offset`, int64."""
        self._layers[layer].index_copy_(0, slots, torch.stack([keys, values], dim=2))

    def gather(self, layer: int, pages: Tensor) -> Tensor:
        """Copy pages (any shape, int64) out: `(pages.numel() * PAGE, kv heads, 2, K)`.

        The result is overwritten by the next gather from a layer of the same type.
        """
        store = self._layers[layer]
        by_page = store.view(-1, store[0].numel() * PAGE)
        kind, count = self._config.layer_types[layer], pages.numel()
        buffer = self._gathered.get(kind)
        if buffer is None or buffer.shape[0] < count:
            buffer = self._gathered[kind] = torch.empty(count, by_page.shape[1])
        torch.index_select(by_page, 0, pages.flatten(), out=buffer[:count])
        return buffer[:count].view(-1, *store.shape[1:])

    def copy(self, source: int, target: int, tokens: int, group: int = GLOBAL) -> None:
        """Copy the first `tokens` of a page onto another page, in every layer of the group."""
        for layer in self._groups[group]:
            store = self._layers[layer]
            paged = store.view(-1, PAGE, *store.shape[1:])
            paged[target, :tokens] = paged[source, :tokens]

    def read(self, group: int, pages: Sequence[int]) -> Bytes:
        """Copy pages out: `(pages, page_bytes[group])` uint8."""
        chosen = np.array(pages, np.int64)
        return np.concatenate([self._by_page(i)[chosen] for i in self._groups[group]], axis=1)

    def write(self, group: int, pages: Sequence[int], data: Bytes) -> None:
        """Put back what `read` gave, on these pages."""
        chosen, start = np.array(pages, np.int64), 0
        for layer in self._groups[group]:
            memory = self._by_page(layer)
            memory[chosen] = data[:, start : start + memory.shape[1]]
            start += memory.shape[1]

    def _by_page(self, layer: int) -> Bytes:
        """A layer's memory as `(pages, bytes)`."""
        store = self._layers[layer]
        by_page: Bytes = store.view(-1, store[0].numel() * PAGE).numpy().view(np.uint8)
        return by_page


def _lazy_zeros(shape: tuple[int, ...]) -> Tensor:
    """Zeros that take no memory until written. (Zeros, not junk: unused slots are multiplied by a
    weight of exactly zero, which junk that happens to be NaN would survive.)"""
    count = 1
    for size in shape:
        count *= size
    return torch.frombuffer(mmap.mmap(-1, count * 4), dtype=torch.float32).view(shape)
