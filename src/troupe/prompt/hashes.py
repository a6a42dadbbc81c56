"""Rolling hashes of token ids at the engine's block size. Pure.

The hash of a block covers every token up to its end (BLAKE2b over the hash before it and the
block's ids as little-endian 64-bit integers), so two prompts share a prefix of n blocks exactly
where their first n hashes agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct

BLOCK = 16  # tokens: a page of the engine's memory of keys and values
_DIGEST = 16  # bytes


class Stream:
    """Token ids that only grow, and the hashes of their full blocks.

    What was written never changes, so a prompt may keep a stream and its length and read later
    what it stood for. A hash is made when first asked for, and once.
    """

    __slots__ = ("_hashes", "block", "ids")

    def __init__(self, ids: Sequence[int] = (), block: int = BLOCK) -> None:
        self.ids = list(ids)
        self.block = block
        self._hashes: list[bytes] = []

    def __len__(self) -> int:
        return len(self.ids)

    def hashes(self, length: int, behind: Sequence[int] = (), start: int = 0) -> tuple[bytes, ...]:
        """The hash of each full block of the first `length` ids and those `behind` them, but the
        first `start` blocks."""
        full = length // self.block
        self._chain(self._hashes, self.ids, full)
        found = self._hashes[start:full]
        if behind:
            rest = [*self.ids[full * self.block : length], *behind]
            last = self._hashes[full - 1 : full] if full else []
            before = len(last)
            self._chain(last, rest, before + len(rest) // self.block, before)
            found += last[before + max(0, start - full) :]
        return tuple(found)

    def at(self, place: int) -> bytes:
        """The hash of one full block of what was written."""
        self._chain(self._hashes, self.ids, place + 1)
        return self._hashes[place]

    def cut(self, length: int) -> Stream:
        """A stream of its own that begins with the first `length` ids, hashes included."""
        other = Stream(self.ids[:length], self.block)
        other._hashes = self._hashes[: length // self.block]
        return other

    def _chain(self, hashes: list[bytes], ids: Sequence[int], full: int, skip: int = 0) -> None:
        """Extend `hashes` to `full` blocks; the first `skip` of them stand before `ids`."""
        block, pack = self.block, _packer(self.block)
        for start in range((len(hashes) - skip) * block, (full - skip) * block, block):
            data = (hashes[-1] if hashes else b"") + pack(*ids[start : start + block])
            hashes.append(blake2b(data, digest_size=_DIGEST).digest())


@lru_cache(maxsize=8)
def _packer(block: int) -> Callable[..., bytes]:
    return Struct(f"<{block}q").pack


def block_hashes(ids: Sequence[int], block: int = BLOCK) -> tuple[bytes, ...]:
    """The hash of each full block of `ids`, from nothing."""
    return Stream(ids, block).hashes(len(ids))


def common_prefix(a: Sequence[object], b: Sequence[object]) -> int:
    """How many leading ids (or letters) two lists (or texts) share: halving, so that slices are
    compared in C."""
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
