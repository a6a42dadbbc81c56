"""Whether the memory's books are in order. For tests, and for when the engine is idle.

Called by the worker, which breaks off when there is work again.
"""

from __future__ import annotations

from collections.abc import Iterator

from troupe.engine.kv.cache import KVCache
from troupe.engine.kv.tiers import DEVICE
from troupe.engine.kv.tree import NONE, Node
from troupe.engine.steps import GLOBAL, LOCAL, PAGE, SCRATCH_PAGE

_SOME = 256  # nodes between two breaks


def check(cache: KVCache) -> None:
    """`audit`, all of it."""
    for _ in audit(cache):
        pass


def audit(cache: KVCache) -> Iterator[None]:
    """Assert that in every tier each page has one owner, that every lock has a lease, that no page
    is nearer than the one before it, that the index is whole, and that each lease has the local
    pages that its next row reads. Yields now and then; the cache may not change until it is done or
    given up. Raises `AssertionError`."""
    locks: dict[Node, int] = {}
    ends: dict[Node, int] = {}
    for lease in cache.leases:
        for node in lease.path:
            locks[node] = locks.get(node, 0) + 1
        if lease.path:
            ends[lease.path[-1]] = ends.get(lease.path[-1], 0) + 1
    nodes = list(cache.tree.nodes())
    full = 0
    for count, node in enumerate(nodes):
        if count % _SOME == 0:
            yield
        _check_node(node)
        assert node.leases == locks.get(node, 0), "a lock without a lease"
        assert node.ends == ends.get(node, 0), "an end without a lease"
        if len(node.tokens) == PAGE:
            full += 1
            assert cache.tree.index.holds(node.salt, node), "a full page is not in the index"
    assert len(cache.tree.index) == full, "the index holds a page that is gone"
    for level, tier in enumerate(cache.tiers.levels):
        for group in range(cache.tiers.groups):
            owners = list(tier.pool.free[group])
            owners += [n.slots[group] for n in nodes if n.level == level and n.slots[group] != NONE]
            if level == DEVICE:
                for lease in cache.leases:
                    own = lease.tables[group][len(lease.path) :]
                    owners += [page for page in own if page != SCRATCH_PAGE]
            every = list(range(tier.pool.first, tier.pool.counts[group]))
            assert sorted(owners) == every, f"a page of {tier.name} is lost or owned twice"
    _check_leases(cache)


def _check_node(node: Node) -> None:
    parent = node.parent
    assert parent is not None
    assert not node.gone
    assert node.slots[GLOBAL] != NONE
    assert 1 <= len(node.tokens) <= PAGE
    assert not node.children or len(node.tokens) == PAGE, "a partial page has children"
    assert node.level >= parent.level, "a page is nearer than the one before it"
    assert node.depth == parent.depth + 1
    for level, count in enumerate(node.near):
        assert count == sum(child.level == level for child in node.children)
    order = [child.tokens for child in node.children]
    assert order == sorted(set(order)), "children are out of order"
    if node.evictable:
        assert node.queued == node.level, "a page that may leave is not in its tier's queue"


def _check_leases(cache: KVCache) -> None:
    window = cache.layout.window
    for lease in cache.leases:
        assert lease.pages[: len(lease.path)] == [node.slots[GLOBAL] for node in lease.path]
        assert all(node.level == DEVICE for node in lease.path)
        if window is None:
            continue
        assert lease.local is not None
        first = max(0, max(lease.cached, len(lease.path) * PAGE) - window + 1) // PAGE
        for index, node in enumerate(lease.path):
            held = node.slots[LOCAL] if node.slots[LOCAL] != NONE else SCRATCH_PAGE
            if index >= first:
                assert held != SCRATCH_PAGE, "a page within the window is gone"
                assert lease.local[index] == held
            else:
                assert lease.local[index] in (held, SCRATCH_PAGE)
