"""Free slots of one tier, a list for each group of layers. Called by `tiers.py` and `cache.py`."""

from __future__ import annotations

from collections.abc import Sequence

from troupe.engine.kv.tree import NONE


class Pool:
    """Slots `first .. count - 1` of each group. Low ones are used first."""

    def __init__(self, counts: Sequence[int], first: int = 0) -> None:
        self.first = first
        self.counts = tuple(counts)
        self.free = [list(range(count - 1, first - 1, -1)) for count in counts]

    def used(self, group: int) -> int:
        return self.counts[group] - self.first - len(self.free[group])

    def has(self, need: Sequence[int]) -> bool:
        return all(len(free) >= n for free, n in zip(self.free, need, strict=True))

    def take(self, group: int) -> int:
        return self.free[group].pop()

    def give(self, group: int, slot: int) -> None:
        self.free[group].append(slot)

    def give_all(self, slots: Sequence[int]) -> None:
        """Give back what a page has in each group."""
        for group, slot in enumerate(slots):
            if slot != NONE:
                self.free[group].append(slot)

    def claim(self, taken: Sequence[set[int]]) -> None:
        """Take these very slots out, of a pool that is whole."""
        for group, slots in enumerate(taken):
            self.free[group] = [slot for slot in self.free[group] if slot not in slots]
