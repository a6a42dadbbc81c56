"""Which local pages are worth keeping: those from which a sliding layer may have to go on.

A row sees `window` positions, so local pages farther behind the places where prompts go on can be
spared. Such places are the ends of what is kept (with some slack, since the last messages are often
edited or swiped), the ends of what generations read, and branch points: a node with several
children. Spare pages stay while there is room, and are the first to go when there is none. Called
by `cache.py`, and by `tiers.py` to find room.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection
from typing import Protocol

from troupe.engine.kv.tiers import DEVICE, Tiers
from troupe.engine.kv.tree import NONE, Match, Node
from troupe.engine.steps import GLOBAL, LOCAL, PAGE, SCRATCH_PAGE

_SWEEP = 1024  # entries of nodes that are gone, before they are swept out


class Reader(Protocol):
    """A lease, as far as it matters here."""

    @property
    def path(self) -> list[Node]: ...

    @property
    def local(self) -> list[int] | None: ...

    @property
    def cached(self) -> int: ...


class LocalPages:
    """Says which local pages are spare, and gives them up. With `window` None there is nothing to
    do."""

    def __init__(
        self, window: int | None, slack: int, tiers: Tiers, readers: Collection[Reader]
    ) -> None:
        """`readers`: the leases that live, kept up by the caller."""
        self._window, self._slack, self._tiers, self._readers = window, slack, tiers, readers
        self._spare: deque[tuple[Node, int]] = deque()  # and when it was last used by then
        if window is not None:
            tiers.reclaim = self.reclaim

    def trim(self, node: Node) -> None:
        """Mark what lies too far behind `node` and what branches off above it."""
        if self._window is None:
            return
        low = self._low_below(node)
        at: Node | None = node
        while at is not None and at.parent is not None:
            if at.ends or len(at.children) != 1:
                low = min(low, self._low_at(at))
            if at.end <= low and not _begins_branch(at):
                if at.spare or at.slots[LOCAL] == NONE:
                    return  # marked when it came to lie so far back, and all above it
                at.spare = True
                self._spare.append((at, at.used))
            else:
                at.spare = False
            at = at.parent
        if len(self._spare) > _SWEEP + 2 * self._tiers.device.used(GLOBAL):
            self._spare = deque(entry for entry in self._spare if entry[0].spare)

    def reclaim(self, count: int) -> None:
        """Give up so many spare pages of the device, or as many as there are; the longest unused
        first, roughly."""
        for _ in range(2 * len(self._spare)):  # those used since have a second chance
            if count <= 0 or not self._spare:
                return
            node, used = self._spare.popleft()
            if node.gone or node.level != DEVICE or not node.spare:
                continue
            if node.used != used:
                self._spare.append((node, node.used))
                continue
            node.spare = False
            if node.slots[LOCAL] != NONE and not self._is_wanted(node):
                self._give_up(node)
                count -= 1

    def squeeze(self, match: Match | None) -> bool:
        """Give up all local pages of locked nodes but those that a generation still reads, or one
        that is to go on after `match`. Says whether there were any."""
        if self._window is None:
            return False
        paths = [
            (reader.path, max(reader.cached, len(reader.path) * PAGE)) for reader in self._readers
        ]
        needed: set[Node] = set()
        if match is not None:
            paths.append((match.path, match.tokens))
            if match.partial is not None:
                needed.add(match.partial)
        for path, end in paths:
            first = max(0, end - self._window + 1) // PAGE
            needed.update(path[first:])
        found = False
        for path, _ in paths:
            for node in path:
                if node.slots[LOCAL] != NONE and node not in needed:
                    self._give_up(node)
                    found = True
        return found

    def _low_at(self, node: Node) -> int:
        """Pages that end here or before are of no use to a prompt that goes on at this node."""
        assert self._window is not None
        if not node.children or node.ends:
            return node.end - self._window + 1 - self._slack
        if len(node.children) > 1:
            return node.end - self._window + 1
        return sys.maxsize

    def _low_below(self, node: Node) -> int:
        """The same for the next such place below, as far as it can matter here."""
        assert self._window is not None
        low, start = self._low_at(node), node.end
        while low == sys.maxsize and node.end - start < self._window + self._slack:
            node = node.children[0]
            low = self._low_at(node)
        return low

    def _is_wanted(self, node: Node) -> bool:
        """Whether a prompt may go on within its reach after all."""
        return node.end > self._low_below(node) or _begins_branch(node)

    def _give_up(self, node: Node) -> None:
        self._tiers.drop_group(node, LOCAL)
        if node.leases:
            index = node.depth - 1
            for reader in self._readers:
                path, local = reader.path, reader.local
                if local is not None and len(path) > index and path[index] is node:
                    local[index] = SCRATCH_PAGE


def _begins_branch(node: Node) -> bool:
    """Whether it is where prompts part: a prompt may go on in the middle of it."""
    parent = node.parent
    return parent is not None and parent.parent is not None and len(parent.children) > 1
