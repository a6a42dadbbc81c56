"""Hashes of prefixes, page by page, and the index that finds a kept prefix by its hash.

A page's hash covers every token up to its end: BLAKE2b, 16 bytes, over the hash before it and the
page's ids as little-endian 64-bit integers. `troupe.prompt.hashes` makes the same ones, so a caller
may name a prefix by (hash, length) and send only what is new. Keys hold the tenant's salt, so a
hash finds nothing of another's. Called by `cache.py`; `find` from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from struct import pack
from typing import Protocol

from troupe.engine.steps import PAGE

NOTHING = b""  # the hash of no tokens
_DIGEST = 16  # bytes


def chained(before: bytes, tokens: Sequence[int]) -> bytes:
    """The hash of a prefix: `before` is that of all tokens ahead of `tokens`."""
    data = before + pack(f"<{len(tokens)}q", *tokens)
    return blake2b(data, digest_size=_DIGEST).digest()


class Held(Protocol):
    """A page of a kept prefix. None of these change while it lives, nor after."""

    @property
    def tokens(self) -> tuple[int, ...]: ...

    @property
    def digest(self) -> bytes: ...

    @property
    def parent(self) -> Held | None: ...

    @property
    def depth(self) -> int:
        """Pages from the beginning to this one's end; 0 for a root."""
        ...


class Index:
    """Kept full pages by (salt, hash)."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[str, bytes], Held] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, salt: str, node: Held) -> None:
        self._nodes[salt, node.digest] = node

    def remove(self, salt: str, node: Held) -> None:
        if self._nodes.get((salt, node.digest)) is node:
            del self._nodes[salt, node.digest]

    def holds(self, salt: str, node: Held) -> bool:
        """Whether this very page is found by its hash."""
        return self._nodes.get((salt, node.digest)) is node

    def find(self, salt: str, digest: bytes, length: int) -> list[int] | None:
        """All tokens of the prefix of `length` tokens (a multiple of `PAGE`) with this hash, or
        None if it is not held. It may be given up before it is used: then it is run again.

        Safe beside the thread that changes the tree: it reads one entry, and then only what never
        changes.
        """
        node: Held | None = self._nodes.get((salt, digest))
        if node is None or node.depth * PAGE != length:
            return None
        pages: list[tuple[int, ...]] = []
        while node is not None:
            pages.append(node.tokens)
            node = node.parent
        return [token for page in reversed(pages) for token in page]

    def longest(self, salt: str, tokens: Sequence[int]) -> int:
        """How many leading tokens are held in full pages. Safe beside the thread that changes the
        tree, and so out of date at once."""
        digest, end = NOTHING, 0
        while end + PAGE <= len(tokens):
            digest = chained(digest, tokens[end : end + PAGE])
            if (salt, digest) not in self._nodes:
                break
            end += PAGE
        return end
