"""Which pages hold which tokens' keys and values, during a generation and between turns.

Every prefix is kept until room is needed, in a tree whose nodes are pages of up to `PAGE` tokens;
only a full page has children. A new prompt takes the longest common prefix that is held, to the
token: full pages by reference, and of the page where the prompts part, a copy of what they share.
Tokens themselves are compared, never hashes alone, and each tenant's salt has a tree of its own.
Pure bookkeeping: `arena.py` holds the numbers. Called by the worker, from one thread.

Who owns a page: the free list, one node, or one lease; nobody else, ever (`check` says so).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from troupe.engine.kv.index import NOTHING, Index, chained
from troupe.engine.steps import PAGE, SCRATCH_PAGE

Tokens = tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Node:
    tokens: Tokens  # 1 to PAGE of them; empty for a root
    page: int
    parent: _Node | None
    children: list[_Node] = field(default_factory=list)  # sorted by their tokens
    leases: int = 0  # generations that read this page; it is not evicted or replaced meanwhile
    used: int = 0  # the clock when last read or made
    digest: bytes = NOTHING  # of all tokens up to this page's end
    depth: int = 0  # pages from the beginning
    salt: str = ""

    def place(self, tokens: Tokens) -> int:
        return bisect_left(self.children, tokens, key=lambda node: node.tokens)

    def child(self, tokens: Tokens) -> _Node | None:
        place = self.place(tokens)
        if place < len(self.children) and self.children[place].tokens == tokens:
            return self.children[place]
        return None


@dataclass(slots=True)
class Lease:
    """The pages of one generation. The first `shared` belong to the tree, the others to it."""

    salt: str
    pages: list[int]
    cached: int  # leading tokens whose keys and values were found, never run again
    shared: int
    _path: list[_Node]  # the shared pages' nodes, locked while the lease lives


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy the first `tokens` of page `source` onto page `target` before running anything."""

    source: int
    target: int
    tokens: int


class KVCache:
    """Pages `1 .. pages - 1` of an arena, leased to generations and kept between turns."""

    def __init__(self, pages: int) -> None:
        assert pages >= 2, "an arena has a scratch page and at least one other"
        self.pages = pages
        self._free = list(range(pages - 1, SCRATCH_PAGE, -1))  # low pages are used first
        self._roots: dict[str, _Node] = {}
        self._clock = 0
        self._held = 0  # pages owned by the tree
        self._leased = 0  # pages owned by leases
        self._index = Index()

    @property
    def held_tokens_at_most(self) -> int:
        """Tokens that the pool could hold in full pages."""
        return (self.pages - 1) * PAGE

    @property
    def used_pages(self) -> int:
        """Pages that hold something: of leases and of the tree."""
        return self._held + self._leased

    def lease(
        self, salt: str, prompt: Sequence[int], room: int
    ) -> tuple[Lease, Copy | None] | None:
        """Lease pages for a sequence of up to `room` tokens that begins with `prompt`.

        What the tree holds of `prompt[:-1]` is reused (the last token must run, to give logits).
        Returns None if there is no room now, and then nothing has changed but what was evicted.
        """
        path, partial, common = self._match(salt, prompt[:-1])
        for node in path:
            node.leases += 1
        needed = -(-room // PAGE) - len(path)
        if partial is not None:
            partial.leases += 1  # not evicted while room is made
            fits = self._make_room(needed)
            partial.leases -= 1
            partial = partial if fits else None
        if partial is None and not self._make_room(needed):
            self._unlock(path)
            return None
        self._clock += 1
        own = [self._free.pop() for _ in range(needed)]
        self._leased += needed
        copy = None
        if partial is not None and own:
            copy = Copy(partial.page, own[0], common)
            partial.used = self._clock
        for node in path:
            node.used = self._clock
        cached = len(path) * PAGE + (common if copy else 0)
        pages = [node.page for node in path] + own
        return Lease(salt, pages, cached, len(path), path), copy

    def release(self, lease: Lease, tokens: Sequence[int]) -> None:
        """End a lease, and keep its pages for `tokens`: exactly those whose keys and values have
        been written, whether the generation ended, was stopped or was cancelled."""
        assert len(tokens) >= lease.shared * PAGE, "shared pages hold tokens that were not given"
        self._clock += 1
        node = self._roots.setdefault(lease.salt, _Node((), SCRATCH_PAGE, None, salt=lease.salt))
        for index, page in enumerate(lease.pages):
            piece = tuple(tokens[index * PAGE : (index + 1) * PAGE])
            if index < lease.shared:
                node = lease._path[index]
            elif piece:
                node = self._keep(node, piece, page)
            else:
                self._free.append(page)
        self._leased -= len(lease.pages) - lease.shared
        self._unlock(lease._path)
        self._drop_empty_root(lease.salt)

    def share(self, lease: Lease, tokens: Sequence[int]) -> None:
        """Offer the full pages written so far to others while the generation goes on."""
        parent = lease._path[-1] if lease._path else None
        for index in range(lease.shared, len(tokens) // PAGE):
            if parent is None:
                parent = self._roots.setdefault(
                    lease.salt, _Node((), SCRATCH_PAGE, None, salt=lease.salt)
                )
            piece = tuple(tokens[index * PAGE : (index + 1) * PAGE])
            if parent.child(piece) is not None:
                return  # someone else offered the same; ours stay our own until released
            self._clock += 1
            parent = self._keep(parent, piece, lease.pages[index])
            parent.leases += 1
            lease._path.append(parent)
            lease.shared += 1
            self._leased -= 1

    def longest_match(self, salt: str, tokens: Sequence[int]) -> int:
        """How many leading tokens are held, without touching anything."""
        path, _, common = self._match(salt, tokens)
        return len(path) * PAGE + common

    def find(self, salt: str, digest: bytes, length: int) -> list[int] | None:
        """All tokens of the kept prefix that has this hash and length (a multiple of `PAGE`), or
        None. Safe from any thread."""
        return self._index.find(salt, digest, length)

    def _match(self, salt: str, tokens: Sequence[int]) -> tuple[list[_Node], _Node | None, int]:
        """Nodes of the full pages held, and the node that shares most of the next page."""
        node = self._roots.get(salt)
        path: list[_Node] = []
        if node is None:
            return path, None, 0
        while True:
            piece = tuple(tokens[len(path) * PAGE : (len(path) + 1) * PAGE])
            child = node.child(piece) if len(piece) == PAGE else None
            if child is None:
                break
            path.append(child)
            node = child
        if not piece:
            return path, None, 0
        # In sorted order, the longest common prefix is with a neighbour.
        place = node.place(piece)
        near = node.children[max(0, place - 1) : place + 1]
        best = max(near, key=lambda n: _common(n.tokens, piece), default=None)
        common = _common(best.tokens, piece) if best is not None else 0
        return path, best if common else None, common

    def _keep(self, parent: _Node, piece: Tokens, page: int) -> _Node:
        """Put a page under `parent`, or free it if the same tokens are held already."""
        place = parent.place(piece)
        if place < len(parent.children):
            after = parent.children[place]
            if after.tokens[: len(piece)] == piece:
                self._free.append(page)
                after.used = self._clock
                return after
        if place > 0:
            before = parent.children[place - 1]
            superseded = before.tokens == piece[: len(before.tokens)]
            if superseded and before.leases == 0:
                self._remove(before)
                place -= 1
        node = _Node(piece, page, parent, used=self._clock)
        node.salt, node.depth = parent.salt, parent.depth + 1
        node.digest = chained(parent.digest, piece)
        parent.children.insert(place, node)
        if len(piece) == PAGE:
            self._index.add(node.salt, node)
        self._held += 1
        return node

    def _make_room(self, needed: int) -> bool:
        """Evict until `needed` pages are free; leaves first, least recently used first."""
        missing = needed - len(self._free)
        if missing <= 0:
            return True
        leaves = [(n.used, id(n), n) for n in self._nodes() if not n.children and not n.leases]
        heapq.heapify(leaves)
        while leaves and missing > 0:
            node = heapq.heappop(leaves)[2]
            parent = node.parent
            self._remove(node)
            missing -= 1
            if parent is not None and parent.parent is not None:
                if not parent.children and not parent.leases:
                    heapq.heappush(leaves, (parent.used, id(parent), parent))
            elif parent is not None and not parent.children:
                self._roots = {
                    salt: root for salt, root in self._roots.items() if root is not parent
                }
        return missing <= 0

    def _remove(self, node: _Node) -> None:
        assert node.parent is not None
        assert not node.children
        assert node.leases == 0
        del node.parent.children[node.parent.place(node.tokens)]
        self._index.remove(node.salt, node)
        self._free.append(node.page)
        self._held -= 1

    def _unlock(self, path: Sequence[_Node]) -> None:
        for node in path:
            assert node.leases > 0
            node.leases -= 1

    def _drop_empty_root(self, salt: str) -> None:
        if not self._roots[salt].children:
            del self._roots[salt]

    def _nodes(self) -> Iterator[_Node]:
        stack = [child for root in self._roots.values() for child in root.children]
        while stack:
            node = stack.pop()
            stack.extend(node.children)
            yield node

    def check(self, leases: Sequence[Lease]) -> None:
        """Assert that every page has one owner and every lock a lease. For tests and idle time."""
        owners = list(self._free)
        counted: dict[int, int] = {}
        for lease in leases:
            owners += lease.pages[lease.shared :]
            assert lease.pages[: lease.shared] == [node.page for node in lease._path]
            for node in lease._path:
                counted[id(node)] = counted.get(id(node), 0) + 1
        held = full = 0
        for node in self._nodes():
            owners.append(node.page)
            held += 1
            assert node.leases == counted.get(id(node), 0), "a lock without a lease"
            if len(node.tokens) == PAGE:
                full += 1
                found = self.find(node.salt, node.digest, node.depth * PAGE)
                assert found is not None, "a full page is not in the index"
                assert found[-PAGE:] == list(node.tokens)
            assert 1 <= len(node.tokens) <= PAGE
            assert not node.children or len(node.tokens) == PAGE, "a partial page has children"
            order = [child.tokens for child in node.children]
            assert order == sorted(set(order)), "children are out of order"
        assert len(self._index) == full, "the index holds a page that is gone"
        assert sorted(owners) == list(range(1, self.pages)), "a page is lost or owned twice"
        assert (self._held, self._leased) == (held, self.pages - 1 - held - len(self._free))


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count
