"""A memory whose pages hold, for each token, a hash of all tokens up to it: what a model would
compute there, as far as sharing is concerned. So a wrong page shows itself."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from troupe.engine.kv import KVCache, Layout, Lease, check
from troupe.engine.kv.stores import DiskStore, HostStore, Store
from troupe.engine.steps import GLOBAL, PAGE, SCRATCH_PAGE, Bytes

CELL = 8  # bytes a token


def cells(tokens: Sequence[int], salt: str) -> Bytes:
    """What each token's place holds: `(tokens, CELL)`."""
    state = blake2b(salt.encode(), digest_size=CELL)
    rows = []
    for token in tokens:
        state.update(token.to_bytes(4, "little"))
        rows.append(np.frombuffer(state.digest(), np.uint8))
    return np.array(rows, np.uint8).reshape(-1, CELL)


class Memory:
    """An arena of such pages."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = tuple(counts)
        self.page_bytes = (PAGE * CELL,) * len(self.counts)
        self.cells = [np.zeros((count, PAGE, CELL), np.uint8) for count in counts]

    def copy(self, source: int, target: int, tokens: int, group: int = GLOBAL) -> None:
        self.cells[group][target, :tokens] = self.cells[group][source, :tokens]

    def read(self, group: int, pages: Sequence[int]) -> Bytes:
        return self.cells[group][list(pages)].reshape(len(pages), -1)

    def write(self, group: int, pages: Sequence[int], data: Bytes) -> None:
        self.cells[group][list(pages)] = data.reshape(len(pages), PAGE, CELL)


class Bench:
    """A cache over such a memory, and somebody who runs its leases."""

    def __init__(
        self,
        pages: int,
        local: int | None = None,
        *,
        window: int | None = None,
        slack: int = 0,
        host: int = 0,
        disk: int = 0,
        folder: Path | None = None,
    ) -> None:
        """Pages of each group, scratch pages not counted; `host` and `disk` slots a group."""
        counts = (1 + pages,) if local is None else (1 + pages, 1 + local)
        self.memory = Memory(counts)
        sizes = self.memory.page_bytes
        farther: list[tuple[str, Store, Sequence[int]]] = []
        if host:
            slots = (host,) * len(counts)
            farther.append(("host", HostStore(slots, sizes), slots))
        self.disk: DiskStore | None = None
        self.folder = folder or Path()
        if disk:
            assert folder is not None
            self.disk = DiskStore(folder, sizes)
            farther.append(("disk", self.disk, (disk,) * len(counts)))
        layout = Layout(sizes, window, slack, context=pages * PAGE)
        self.cache = KVCache(self.memory, layout, farther)

    def begin(self, tokens: Sequence[int], room: int | None = None, salt: str = "") -> Lease | None:
        """A lease, whose cached part is found to be what it should."""
        lease = self.cache.lease(salt, list(tokens), len(tokens) if room is None else room)
        if lease is not None:
            assert lease.cached < len(tokens)
            assert sum(lease.cached_by_tier.values()) == lease.cached
            self.verify(lease, tokens, lease.cached)
        return lease

    def run(self, lease: Lease, tokens: Sequence[int], start: int, end: int) -> bool:
        """Do a step's work; False if there is no room for it."""
        if not self.cache.grow(lease, start, end):
            return False
        self.verify(lease, tokens, start)
        expected = cells(tokens[:end], lease.salt)
        for group, table in enumerate(lease.tables):
            for position in range(start, end):
                assert position // PAGE >= len(lease.path), "a shared page is written"
                page = table[position // PAGE]
                assert page != SCRATCH_PAGE
                self.memory.cells[group][page, position % PAGE] = expected[position]
        return True

    def verify(self, lease: Lease, tokens: Sequence[int], end: int) -> None:
        """Assert that what the row at `end` would read is there."""
        expected, window = cells(tokens[:end], lease.salt), self.cache.layout.window
        for group, table in enumerate(lease.tables):
            first = 0 if group == GLOBAL or window is None else max(0, end - window + 1)
            for position in range(first, end):
                page = table[position // PAGE]
                assert page != SCRATCH_PAGE
                held = self.memory.cells[group][page, position % PAGE]
                assert np.array_equal(held, expected[position]), "somebody else's page"

    def keep(self, tokens: Sequence[int], salt: str = "", chunk: int = 32) -> int:
        """Run and keep a whole sequence; how many of its tokens were found."""
        lease = self.begin(tokens, salt=salt)
        assert lease is not None
        done = lease.cached
        while done < len(tokens):
            end = min(len(tokens), done + chunk)
            assert self.run(lease, tokens, done, end)
            self.cache.share(lease, tokens, end)
            done = end
        self.cache.release(lease, tokens, len(tokens))
        check(self.cache)
        return lease.cached

    def held(self, tokens: Sequence[int], salt: str = "") -> int:
        return self.cache.longest_match(salt, list(tokens))
