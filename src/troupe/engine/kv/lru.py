"""Which page leaves a tier next: the least recently used of those that may leave.

A heap that is mended when it is read: a node is in it once, and one that was used again since, or
may not leave now, is put back or forgotten when its turn comes. Called by `tiers.py`.
"""

from __future__ import annotations

import heapq

from troupe.engine.kv.tree import NONE, Node

_SPARE = 1024  # entries of nodes that are gone, before they are swept out


class Queue:
    """Nodes of one tier that may leave it. Each operation is O(log n), spread over many."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._heap: list[tuple[int, int, Node]] = []
        self._count = 0

    def offer(self, node: Node) -> None:
        """A node may have become evictable."""
        if node.queued == self._level or node.level != self._level or not node.evictable:
            return
        node.queued = self._level
        self._count += 1
        heapq.heappush(self._heap, (node.used, self._count, node))

    def pop(self) -> Node | None:
        """Take out the least recently used evictable node; None if there is none."""
        while self._heap:
            used, _, node = heapq.heappop(self._heap)
            if node.queued == self._level:
                node.queued = NONE
            if node.level != self._level or not node.evictable:
                continue  # it is offered again when that changes
            if node.used == used:
                return node
            self.offer(node)
        return None

    def sweep(self, nodes: int) -> None:
        """Drop entries of nodes that are gone or elsewhere, where they are most of the heap."""
        if len(self._heap) > 2 * nodes + _SPARE:
            self._heap = [entry for entry in self._heap if self._here(entry[2])]
            heapq.heapify(self._heap)

    def _here(self, node: Node) -> bool:
        return not node.gone and node.level == self._level
