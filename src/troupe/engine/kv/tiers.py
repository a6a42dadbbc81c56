"""Tiers of memory, nearest first: the device, the host, the disk. Pages move down to make room and
up when they are used again.

The least recently used leave first, leaves of the tree before what they hang from, so that a page
is never in a nearer tier than the one it follows. Each move is one batch: read whole, then written.
A page that the last tier has no room for is forgotten. Called by `cache.py`, from one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from troupe.engine.kv.lru import Queue
from troupe.engine.kv.pool import Pool
from troupe.engine.kv.stores import Store
from troupe.engine.kv.tree import LEVELS, NONE, Node, Tree, below
from troupe.engine.steps import GLOBAL, LOCAL, Bytes

log = logging.getLogger(__name__)

DEVICE = 0
_BATCH = 256  # pages moved at a time when a tier is emptied


@dataclass(slots=True)
class Tier:
    """One tier. `name`: device, host or disk."""

    name: str
    store: Store
    pool: Pool
    queue: Queue = field(init=False)


@dataclass(frozen=True, slots=True)
class _Load:
    """Pages of one group on their way: row i of `data` is `nodes[i]`'s."""

    nodes: list[Node]
    data: Bytes


class Tiers:
    """The tiers, and all moves between them."""

    def __init__(self, tree: Tree, tiers: Sequence[Tier]) -> None:
        assert 1 <= len(tiers) <= LEVELS
        self._tree = tree
        self.levels = list(tiers)
        self.groups = len(tiers[0].pool.counts)
        self.damaged = 0  # pages found unusable, ever
        self.parted: list[Node] = []  # those that lost a child and have one left
        self.reclaim: Callable[[int], None] | None = None  # gives up local pages of the device
        for level, tier in enumerate(self.levels):
            tier.queue = Queue(level)

    @property
    def device(self) -> Pool:
        return self.levels[DEVICE].pool

    def offer(self, node: Node) -> None:
        """Call when a node may have become evictable."""
        if node.parent is not None:
            self.levels[node.level].queue.offer(node)

    def make_room(self, need: Sequence[int], level: int = DEVICE) -> bool:
        """Move pages down until so many slots of each group are free. False if that cannot be;
        what has moved then stays where it went."""
        tier = self.levels[level]
        if tier.pool.has(need):
            return True
        if self.reclaim is not None and level == DEVICE:
            self.reclaim(need[LOCAL] - len(tier.pool.free[LOCAL]))
        free = [len(slots) for slots in tier.pool.free]
        victims: list[Node] = []
        while any(have < n for have, n in zip(free, need, strict=True)):
            node = tier.queue.pop()
            if node is None:
                break
            for group in self._held(node):
                free[group] += 1
            victims.append(node)
            self._lift(node, level + 1)
        self._settle(victims, level, level + 1)
        return tier.pool.has(need)

    def promote(self, nodes: Sequence[Node]) -> Node | None:
        """Bring those of a locked path that lie farther to the device, which has room for them. If
        one turns out to be damaged it is returned, and nothing has changed."""
        loads: list[tuple[int, _Load]] = []
        for level in range(1, len(self.levels)):
            batch = [node for node in nodes if node.level == level]
            for group in range(self.groups if batch else 0):
                load, bad = self._read(level, group, batch)
                if bad:
                    return min(bad, key=lambda node: node.depth)
                loads.append((group, load))
        for node in nodes:
            if node.level == DEVICE:
                continue
            self.levels[node.level].pool.give_all(node.slots)
            self._move(node, DEVICE)
            node.slots = [
                slot if slot == NONE else self.device.take(group)
                for group, slot in enumerate(node.slots)
            ]
        for group, load in loads:
            self._write(DEVICE, group, load.nodes, load.data)
        return None

    def fetch(self, node: Node, targets: Sequence[int]) -> bool:
        """Copy a page from a farther tier onto free pages of the device, and leave it where it is.
        False if it is damaged."""
        for group, target in enumerate(targets):
            load, bad = self._read(node.level, group, [node])
            if bad:
                return False
            if load.nodes:
                tags = [node.digest]
                self.levels[DEVICE].store.write(group, [target], tags, load.data)
        return True

    def adopt(self, node: Node, slots: Sequence[int]) -> list[int]:
        """Give a node the same page made anew on the device, and return the device's pages that it
        should be read from: its own where it is there already, and the new one is free again."""
        if node.level != DEVICE:
            self.levels[node.level].pool.give_all(node.slots)
            self._move(node, DEVICE)
            node.slots = list(slots)
            return node.slots
        for group, slot in enumerate(slots):
            if slot == NONE:
                continue
            if node.slots[group] == NONE:
                node.slots[group] = slot
            else:
                self.device.give(group, slot)
        return node.slots

    def drop_group(self, node: Node, group: int) -> None:
        """Give up a node's page of one group."""
        self.levels[node.level].pool.give(group, node.slots[group])
        node.slots[group] = NONE

    def drop(self, top: Node) -> None:
        """Forget an unlocked page and all that follows it."""
        for node in below(top):
            self._forget(node)

    def flush(self) -> None:
        """Move everything to the last tier; nothing may be locked."""
        last = len(self.levels) - 1
        for level in range(last - 1, -1, -1):
            while True:
                victims: list[Node] = []
                while len(victims) < _BATCH:
                    node = self.levels[level].queue.pop()
                    if node is None:
                        break
                    victims.append(node)
                    self._lift(node, last)
                if not victims:
                    break
                self._settle(victims, level, last)

    def sweep(self) -> None:
        """Keep the queues of evictions no longer than a few times what is held."""
        for tier in self.levels:
            tier.queue.sweep(tier.pool.used(GLOBAL))

    def _held(self, node: Node) -> list[int]:
        return [group for group, slot in enumerate(node.slots) if slot != NONE]

    def _lift(self, node: Node, level: int) -> None:
        """Take a page off its tier's books, on its way to another; locked while it is."""
        if node.spare and level > DEVICE and node.slots[LOCAL] != NONE:
            self.drop_group(node, LOCAL)
        node.spare = False
        if level < len(self.levels):
            node.leases += 1
            self._move(node, level)
        else:
            self._forget(node)

    def _settle(self, victims: list[Node], source: int, level: int) -> None:
        """Put lifted pages, children before parents, down in a tier; what it has no room for goes
        on to the next. Their `slots` are still those of the source."""
        if not victims or level >= len(self.levels):
            return
        loads = [self._read(source, group, victims)[0] for group in range(self.groups)]
        for node in victims:
            self.levels[source].pool.give_all(node.slots)
        self._place(victims, loads, level)

    def _place(self, nodes: list[Node], loads: list[_Load], level: int) -> None:
        if level >= len(self.levels):
            for node in nodes:
                node.leases -= 1
                self._remove(node)
            return
        pool = self.levels[level].pool
        self.make_room([len(load.nodes) for load in loads], level)
        spare = [len(free) for free in pool.free]
        first = len(nodes)
        while first > 0 and all(spare[group] for group in self._held(nodes[first - 1])):
            first -= 1
            for group in self._held(nodes[first]):
                spare[group] -= 1
        rest, kept = nodes[:first], nodes[first:]  # parents stay nearer than what follows them
        if rest:
            if level + 1 < len(self.levels):
                for node in rest:
                    self._move(node, level + 1)
            self._place(rest, [_only(load, rest) for load in loads], level + 1)
        for node in kept:
            node.slots = [
                slot if slot == NONE else pool.take(group) for group, slot in enumerate(node.slots)
            ]
        for group, load in enumerate(loads):
            mine = _only(load, kept)
            self._write(level, group, mine.nodes, mine.data)
        for node in kept:
            node.leases -= 1
        for node in kept:
            self.offer(node)

    def _read(self, level: int, group: int, nodes: Sequence[Node]) -> tuple[_Load, set[Node]]:
        """What those of `nodes` that have a page of this group hold, and which are damaged."""
        holders = [node for node in nodes if node.slots[group] != NONE]
        if not holders:
            return _Load([], np.empty((0, 0), np.uint8)), set()
        slots = [node.slots[group] for node in holders]
        tags = [node.digest for node in holders]
        data, bad = self.levels[level].store.read(group, slots, tags)
        if bad:
            self.damaged += len(bad)
            log.warning(
                "kept pages are damaged and are run again",
                extra={"tier": self.levels[level].name, "pages": len(bad)},
            )
        return _Load(holders, data), {holders[i] for i in bad}

    def _write(self, level: int, group: int, nodes: Sequence[Node], data: Bytes) -> None:
        if nodes:
            slots = [node.slots[group] for node in nodes]
            tags = [node.digest for node in nodes]
            self.levels[level].store.write(group, slots, tags, data)

    def _move(self, node: Node, level: int) -> None:
        self._tree.move(node, level)
        assert node.parent is not None
        self.offer(node.parent)

    def _forget(self, node: Node) -> None:
        self.levels[node.level].pool.give_all(node.slots)
        self._remove(node)

    def _remove(self, node: Node) -> None:
        parent = node.parent
        self._tree.remove(node)
        assert parent is not None
        self.offer(parent)
        if len(parent.children) == 1:
            self.parted.append(parent)


def _only(load: _Load, nodes: Sequence[Node]) -> _Load:
    chosen = set(nodes)
    rows = [i for i, node in enumerate(load.nodes) if node in chosen]
    return _Load([load.nodes[i] for i in rows], load.data[rows])
