"""The tree of what is kept: a node is a page of up to `PAGE` tokens, below the prefix before it.

Only full pages have children. A new prompt takes the longest common prefix that is held, to the
token; tokens themselves are compared, never hashes alone, and each tenant's salt has a tree of its
own. Knows nothing of where pages lie. Called by `cache.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from troupe.engine.kv.index import NOTHING, Index, chained
from troupe.engine.steps import LOCAL, PAGE

Tokens = tuple[int, ...]
NONE = -1  # no page in this group
LEVELS = 3  # device, host, disk: nearest first
_NEAR = 8  # pages that share as much, looked through on each side for one with a local page


@dataclass(slots=True, eq=False)
class Node:
    """One page of a kept prefix. It lies in one tier, in a slot for each group of layers."""

    tokens: Tokens  # 1 to PAGE of them; empty for a root
    slots: list[int]  # of each group; `NONE` for local pages that were dropped
    parent: Node | None
    salt: str = ""
    digest: bytes = NOTHING  # of all tokens up to this page's end
    depth: int = 0  # pages from the beginning, this one included
    level: int = 0  # its tier: never nearer than its parent's
    children: list[Node] = field(default_factory=list)  # sorted by their tokens
    near: list[int] = field(default_factory=lambda: [0] * LEVELS)  # children in each tier
    leases: int = 0  # generations that read this page: it stays where it is meanwhile
    ends: int = 0  # those whose shared pages end here
    used: int = 0  # the clock when last read or made
    queued: int = NONE  # the tier whose queue of evictions knows it
    spare: bool = False  # whether its local page may go when room is short
    gone: bool = False  # no longer in the tree

    @property
    def end(self) -> int:
        """The position after its last token."""
        return (self.depth - 1) * PAGE + len(self.tokens)

    @property
    def evictable(self) -> bool:
        """Whether it may leave its tier: nobody reads it, and no child is as near."""
        return not self.gone and not self.leases and not self.near[self.level]

    def place(self, tokens: Tokens) -> int:
        return bisect_left(self.children, tokens, key=lambda node: node.tokens)

    def child(self, tokens: Tokens) -> Node | None:
        place = self.place(tokens)
        if place < len(self.children) and self.children[place].tokens == tokens:
            return self.children[place]
        return None


@dataclass(frozen=True, slots=True)
class Match:
    """What is held of a prompt: full pages, and the first `common` tokens of another."""

    path: list[Node]
    partial: Node | None = None
    common: int = 0

    @property
    def tokens(self) -> int:
        return len(self.path) * PAGE + self.common


class Tree:
    """Kept prefixes of all salts."""

    def __init__(self) -> None:
        self.roots: dict[str, Node] = {}
        self._ids: dict[int, int] = {}  # one object for each token id: pages are many
        self.index = Index()

    def root(self, salt: str) -> Node:
        root = self.roots.get(salt)
        if root is None:
            root = self.roots[salt] = Node((), [], None, salt)
        return root

    def match(self, salt: str, tokens: Sequence[int], window: int | None = None) -> Match:
        """The longest prefix that is held: with a `window`, the longest from which one can go on,
        that is, whose last `window - 1` positions have local pages."""
        found = self._longest(salt, tokens, window is not None)
        return found if window is None else _seen_through(found, window)

    def _longest(self, salt: str, tokens: Sequence[int], split: bool) -> Match:
        node = self.roots.get(salt)
        path: list[Node] = []
        if node is None:
            return Match(path)
        while True:
            piece = tuple(tokens[len(path) * PAGE : (len(path) + 1) * PAGE])
            child = node.child(piece) if len(piece) == PAGE else None
            if child is None:
                break
            path.append(child)
            node = child
        if not piece:
            return Match(path)
        # In sorted order, the longest common prefix is with a neighbour.
        place = node.place(piece)
        near = node.children[max(0, place - 1) : place + 1]
        best = max(near, key=lambda n: common(n.tokens, piece), default=None)
        count = common(best.tokens, piece) if best is not None else 0
        if not count:
            return Match(path)
        if split:
            around = node.children[max(0, place - _NEAR) : place + _NEAR]
            equals = [n for n in around if common(n.tokens, piece) == count]
            best = next((n for n in equals if n.slots[LOCAL] != NONE), best)
        return Match(path, best, count)

    def insert(self, parent: Node, piece: Tokens, slots: list[int], used: int) -> Node:
        """A new node below a full one (or a root), in the nearest tier."""
        piece = tuple([self._ids.setdefault(token, token) for token in piece])
        node = Node(piece, slots, parent, parent.salt, chained(parent.digest, piece), used=used)
        node.depth = parent.depth + 1
        parent.children.insert(parent.place(piece), node)
        parent.near[node.level] += 1
        if parent.parent is None:
            self.roots[parent.salt] = parent  # it may have been dropped when it had no children
        if len(piece) == PAGE:
            self.index.add(node.salt, node)
        return node

    def remove(self, node: Node) -> None:
        """Take a node without children out. Its slots are the caller's business."""
        assert node.parent is not None
        assert not node.children
        assert not node.leases
        parent = node.parent
        del parent.children[parent.place(node.tokens)]
        parent.near[node.level] -= 1
        node.gone = True
        self.index.remove(node.salt, node)
        if parent.parent is None and not parent.children:
            del self.roots[parent.salt]

    def move(self, node: Node, level: int) -> None:
        """Say that a node lies in another tier."""
        assert node.parent is not None
        node.parent.near[node.level] -= 1
        node.parent.near[level] += 1
        node.level = level

    def nodes(self) -> Iterator[Node]:
        """All but the roots, parents before their children."""
        stack = [child for root in self.roots.values() for child in root.children]
        while stack:
            node = stack.pop()
            stack.extend(node.children)
            yield node


def below(node: Node) -> list[Node]:
    """A node and all below it, children before their parents."""
    found, stack = [], [node]
    while stack:
        found.append(stack.pop())
        stack.extend(found[-1].children)
    return found[::-1]


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many leading tokens two pages share."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def _seen_through(found: Match, window: int) -> Match:
    """Shorten a match to where the window before its end is held."""
    longest, first = 0, 0  # pages; where the present run of local pages begins
    for index, node in enumerate(found.path):
        if node.slots[LOCAL] == NONE:
            first = index + 1
        elif _covered(first, (index + 1) * PAGE, window):
            longest = index + 1
    partial = found.partial
    held = partial is not None and partial.slots[LOCAL] != NONE
    if held and _covered(first, found.tokens, window):
        return found
    return Match(found.path[:longest])


def _covered(first: int, position: int, window: int) -> bool:
    """Whether pages from `first` on hold all that `position` looks at."""
    return first == 0 or position - window + 1 >= first * PAGE
