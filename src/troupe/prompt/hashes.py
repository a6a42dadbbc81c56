"""Rolling hashes of a prompt at the engine's block size. Pure.

The hash of a block covers every token up to its end (BLAKE2b over the hash before it and the
block's ids as little-endian 64-bit integers), so two prompts share a prefix of n blocks exactly
where their first n hashes agree.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b

BLOCK = 16  # tokens
_DIGEST = 16  # bytes


class BlockHashes:
    """Keeps the last prompt's ids and hashes; a new prompt costs what lies behind their common
    prefix."""

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block
        self._ids: list[int] = []
        self._hashes: list[bytes] = []

    def update(self, ids: Sequence[int]) -> tuple[bytes, ...]:
        """The hash of each full block of `ids`."""
        ids = list(ids)
        same = common_prefix(self._ids, ids) // self._block
        del self._hashes[same:]
        pack = struct.Struct(f"<{self._block}q")
        for start in range(same * self._block, len(ids) - self._block + 1, self._block):
            before = self._hashes[-1] if self._hashes else b""
            data = before + pack.pack(*ids[start : start + self._block])
            self._hashes.append(blake2b(data, digest_size=_DIGEST).digest())
        self._ids = ids
        return tuple(self._hashes)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many leading ids two lists share: halving, so that slices are compared in C."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
