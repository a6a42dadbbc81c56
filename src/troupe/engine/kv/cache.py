"""Pages leased to generations, and kept between turns.

Every prefix is kept until room is needed. A new prompt takes the longest common prefix that is
held, to the token: full pages by reference, and of the page where the prompts part, a copy of what
they share. A lease grows page by page; each page joins the tree as soon as it is full, so that
others may read it while its generation goes on. Called by the worker, from one thread (`find` from
any).

Who owns a page: the free list of its tier, one node, or one lease; nobody else, ever (`check.py`
says so). Full pages, and pages that a node owns, are never written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from troupe.engine.kv.layout import Layout
from troupe.engine.kv.local import LocalPages
from troupe.engine.kv.pool import Pool
from troupe.engine.kv.stores import DeviceStore, Store
from troupe.engine.kv.tiers import DEVICE, Tier, Tiers
from troupe.engine.kv.tree import NONE, Match, Node, Tokens, Tree
from troupe.engine.steps import GLOBAL, LOCAL, PAGE, SCRATCH_PAGE, Arena


@dataclass(slots=True, eq=False)
class Lease:
    """The pages of one generation. The first `len(path)` belong to the tree, the others to it.

    `local` is None where all layers share pages; in it, what no step will read is `SCRATCH_PAGE`.
    """

    salt: str
    pages: list[int]
    local: list[int] | None
    cached: int  # leading tokens whose keys and values were found, never run again
    cached_by_tier: dict[str, int]
    path: list[Node]  # the shared pages' nodes, locked while the lease lives

    @property
    def tables(self) -> tuple[list[int], ...]:
        return (self.pages,) if self.local is None else (self.pages, self.local)


class KVCache:
    """Pages of an arena (all but the scratch pages) and of farther tiers."""

    def __init__(
        self, arena: Arena, layout: Layout, farther: Sequence[tuple[str, Store, Sequence[int]]] = ()
    ) -> None:
        """`farther`: name, store and slots a group of each further tier, nearest first."""
        self.layout = layout
        self.tree = Tree()
        device = Tier("device", DeviceStore(arena), Pool(arena.counts, SCRATCH_PAGE + 1))
        others = [Tier(name, store, Pool(counts)) for name, store, counts in farther]
        self.tiers = Tiers(self.tree, [device, *others])
        self.leases: set[Lease] = set()
        self._arena = arena
        self._local = LocalPages(layout.window, layout.slack, self.tiers, self.leases)
        self._clock = 0

    def lease(self, salt: str, prompt: Sequence[int], room: int) -> Lease | None:
        """Lease pages for a sequence of up to `room` tokens that begins with `prompt`; it may
        `grow` beyond.

        What is held of `prompt[:-1]` is reused (the last token must run, to give logits). Returns
        None if there is no room now, and then nothing has changed but what was moved away.
        """
        wanted = len(prompt) - 1
        while True:
            match = self.tree.match(salt, prompt[:wanted], self.layout.window)
            self._lock(match)
            fits = self._fits(match, room)
            by_tier = self._by_tier(match)
            damaged = self.tiers.promote(match.path) if fits else None
            lease = None
            if fits and damaged is None:
                lease = self._leased(salt, match, room, by_tier)
                damaged = match.partial if lease is None else None
            if lease is not None:
                self._unlock(Match([], match.partial))
                self._trim_parted()
                return lease
            self._unlock(match)
            if damaged is not None:
                self.tiers.drop(damaged)  # and look again: less is held than it seemed
            elif match.partial is not None:  # rather run a part of a page again than wait
                wanted = len(match.path) * PAGE
            else:
                return None

    def grow(self, lease: Lease, start: int, end: int) -> bool:
        """Give a lease the pages in which tokens `start` to `end - 1` will be written. False if
        there is no room; what it got until then stays with it."""
        needed = -(-end // PAGE)
        if all(
            len(table) >= needed and SCRATCH_PAGE not in table[start // PAGE : needed]
            for table in lease.tables
        ):
            return True  # as in most steps of a decode
        for group, table in enumerate(lease.tables):
            table.extend([SCRATCH_PAGE] * (needed - len(table)))
            first = len(lease.path) if group == GLOBAL else start // PAGE
            missing = [i for i in range(first, needed) if table[i] == SCRATCH_PAGE]
            need = [0] * self.tiers.groups
            need[group] = len(missing)
            if not self._make_room(need):
                return False
            self._trim_parted()
            for index in missing:
                table[index] = self.tiers.device.take(group)
        return True

    def share(self, lease: Lease, tokens: Sequence[int], count: int) -> None:
        """Put the pages that are full now, `count` tokens being written, into the tree: others may
        read them while the generation goes on."""
        first, full = len(lease.path), count // PAGE
        if first == full:
            return
        self._clock += 1
        parent = lease.path[-1] if lease.path else self.tree.root(lease.salt)
        if lease.path:
            parent.ends -= 1
        for index in range(first, full):
            piece = tuple(tokens[index * PAGE : (index + 1) * PAGE])
            parent = self._keep(parent, piece, self._own(lease, index))
            parent.leases += 1
            lease.path.append(parent)
            lease.pages[index] = parent.slots[GLOBAL]
            if lease.local is not None:
                lease.local[index] = _table_entry(parent.slots[LOCAL])
        parent.ends += 1
        self._local.trim(parent)
        self._trim_parted()

    def release(self, lease: Lease, tokens: Sequence[int], count: int) -> None:
        """End a lease, and keep its pages for the first `count` of `tokens`: exactly those whose
        keys and values have been written, however the generation ended."""
        assert count >= len(lease.path) * PAGE, "shared pages hold tokens that were not given"
        self.share(lease, tokens, count)
        last = lease.path[-1] if lease.path else self.tree.root(lease.salt)
        full = len(lease.path)
        piece = tuple(tokens[full * PAGE : count])
        tail = full
        if piece:
            last = self._keep(last, piece, self._own(lease, full))
            self._lock(Match([], last))  # until all is put away
            tail += 1
        for group, table in enumerate(lease.tables):
            for page in table[tail:]:
                if page != SCRATCH_PAGE:
                    self.tiers.device.give(group, page)
        self.leases.discard(lease)
        if last.parent is not None:
            self._local.trim(last)
        for node in lease.path:
            node.used = self._clock
        self._unlock(Match(lease.path, last if piece else None))
        self._trim_parted()
        self._drop_empty_root(lease.salt)
        self.tiers.sweep()

    def longest_match(self, salt: str, tokens: Sequence[int]) -> int:
        """How many leading tokens are held and can be gone on from, without touching anything."""
        return self.tree.match(salt, tokens, self.layout.window).tokens

    def find(self, salt: str, digest: bytes, length: int) -> list[int] | None:
        """All tokens of the kept prefix that has this hash and length (a multiple of `PAGE`), or
        None. Safe from any thread."""
        return self.tree.index.find(salt, digest, length)

    def estimate(self, salt: str, tokens: Sequence[int]) -> int:
        """About how many leading tokens are held, in whole pages. Safe from any thread."""
        return self.tree.index.longest(salt, tokens)

    def resume_clock(self, now: int) -> None:
        """Go on counting uses from those of a snapshot."""
        self._clock = max(self._clock, now)

    def used_pages(self, tier: int = DEVICE) -> tuple[int, ...]:
        """Pages of each group that hold something: of leases and of the tree."""
        pool = self.tiers.levels[tier].pool
        return tuple(pool.used(group) for group in range(self.tiers.groups))

    def _fits(self, match: Match, room: int) -> bool:
        """Make room on the device for a match's farther pages and a sequence's own."""
        if self.tiers.make_room(self._need(match, room)):
            return True
        return self._squeeze(match) and self.tiers.make_room(self._need(match, room))

    def _need(self, match: Match, room: int) -> list[int]:
        need = [0] * self.tiers.groups
        for node in match.path:
            if node.level != DEVICE:
                for group, slot in enumerate(node.slots):
                    need[group] += slot != NONE
        need[GLOBAL] += max(0, -(-room // PAGE) - len(match.path))
        if self.layout.window is not None and match.partial is not None:
            need[LOCAL] += 1
        return need

    def _make_room(self, need: Sequence[int]) -> bool:
        if self.tiers.make_room(need):
            return True
        return self._squeeze(None) and self.tiers.make_room(need)

    def _squeeze(self, match: Match | None) -> bool:
        """Give up local pages that running generations no longer read, worth keeping or not."""
        return self._local.squeeze(match)

    def _trim_parted(self) -> None:
        """Nodes that were branch points and are none any more keep no window for it."""
        for node in self.tiers.parted:
            if not node.gone and node.parent is not None:
                self._local.trim(node)
        self.tiers.parted.clear()

    def _by_tier(self, match: Match) -> dict[str, int]:
        """Tokens of a match by where they are found."""
        found: dict[str, int] = {}
        for node in match.path:
            name = self.tiers.levels[node.level].name
            found[name] = found.get(name, 0) + PAGE
        if match.partial is not None:
            name = self.tiers.levels[match.partial.level].name
            found[name] = found.get(name, 0) + match.common
        return found

    def _leased(self, salt: str, match: Match, room: int, by_tier: dict[str, int]) -> Lease | None:
        """Take pages for which there is room. None, and nothing taken, if the page that is shared
        in part is damaged."""
        self._clock += 1
        path, partial = match.path, match.partial
        pages = [node.slots[GLOBAL] for node in path]
        pages += [self.tiers.device.take(GLOBAL) for _ in range(-(-room // PAGE) - len(path))]
        local = None
        if self.layout.window is not None:
            local = [_table_entry(node.slots[LOCAL]) for node in path]
            local += [SCRATCH_PAGE] * (len(pages) - len(local))
        lease = Lease(salt, pages, local, match.tokens, by_tier, path)
        if partial is not None:
            if local is not None:
                local[len(path)] = self.tiers.device.take(LOCAL)
            if not self._copy(partial, match.common, self._own(lease, len(path))):
                for group, table in enumerate(lease.tables):
                    for page in table[len(path) :]:
                        if page != SCRATCH_PAGE:
                            self.tiers.device.give(group, page)
                return None
            partial.used = self._clock
        for node in path:
            node.used = self._clock
        self.leases.add(lease)
        return lease

    def _copy(self, partial: Node, count: int, targets: Sequence[int]) -> bool:
        """Copy the first `count` tokens of a node's page onto pages of the device."""
        if partial.level != DEVICE:
            return self.tiers.fetch(partial, targets)
        for group, target in enumerate(targets):
            self._arena.copy(partial.slots[group], target, count, group)
        return True

    def _own(self, lease: Lease, index: int) -> list[int]:
        """A page's slots in each group, as a node has them."""
        return [NONE if t[index] == SCRATCH_PAGE else t[index] for t in lease.tables]

    def _keep(self, parent: Node, piece: Tokens, slots: list[int]) -> Node:
        """Put a page under `parent`, or give it up if the same tokens are held already."""
        place = parent.place(piece)
        if place < len(parent.children):
            after = parent.children[place]
            if after.tokens == piece:
                after.used = self._clock
                self.tiers.adopt(after, slots)
                return after
            if after.tokens[: len(piece)] == piece:
                after.used = self._clock
                self.tiers.device.give_all(slots)
                return after
        if place > 0:
            before = parent.children[place - 1]
            superseded = before.tokens == piece[: len(before.tokens)]
            if superseded and not before.leases:
                self.tiers.drop(before)
        return self.tree.insert(parent, piece, slots, self._clock)

    def _lock(self, match: Match) -> None:
        """Keep its pages where they are, and the local ones that a row behind it reads."""
        nodes = _nodes(match)
        for node in nodes:
            node.leases += 1
        for node in nodes[len(match.path) - 1 if match.path else 0 :]:
            node.ends += 1

    def _unlock(self, match: Match) -> None:
        nodes = _nodes(match)
        for node in nodes[len(match.path) - 1 if match.path else 0 :]:
            node.ends -= 1
        for node in nodes:
            assert node.leases > 0
            node.leases -= 1
            self.tiers.offer(node)

    def _drop_empty_root(self, salt: str) -> None:
        root = self.tree.roots.get(salt)
        if root is not None and not root.children:
            del self.tree.roots[salt]


def _nodes(match: Match) -> list[Node]:
    return match.path if match.partial is None else [*match.path, match.partial]


def _table_entry(slot: int) -> int:
    return SCRATCH_PAGE if slot == NONE else slot
