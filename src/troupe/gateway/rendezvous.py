"""Which of several replicas has a conversation: rendezvous hashing with bounded load. Pure.

Every replica has a score for every key, and the highest has it (Thaler and Ravishankar, "Using
name-based mappings to increase hit rates", 1998). So all who ask agree without a table, and when a
replica comes or goes, only the keys that it wins or had move. Weights enter the score as in
Schindelhauer and Schomaker, "Weighted distributed hash tables" (2005): a replica of weight two gets
twice the keys. A replica whose load is at its bound is passed over for the key's next choice, the
rule of Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads" (2016).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_WEIGHT = 1000.0


@dataclass(frozen=True, slots=True)
class Node:
    """One that a key may go to. `load` is what it works on now; `weight` is above 0."""

    name: str
    load: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Bound:
    """How far above the mean a node's load may be: `factor` times its share of all load, this
    request included. Below `floor` (for a node of mean weight) it is never passed over: an
    engine computes a few answers at a time as fast as one, and a conversation that moves is run
    again from its beginning."""

    factor: float = 1.25
    floor: float = 4.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a key goes, and who came before in its order but was at the bound."""

    name: str
    passed: tuple[str, ...] = ()


def score(key: str, name: str, weight: float = 1.0) -> float:
    """How much `name` is the one for `key`: the larger the likelier."""
    # A separator that no name holds, so that ("a", "bc") and ("ab", "c") are different pairs.
    digest = hashlib.blake2b(f"{name}\0{key}".encode(errors="replace"), digest_size=8).digest()
    # In (0, 1), ends excluded, in steps of 2**-53: what a float tells apart.
    uniform = ((int.from_bytes(digest, "big") >> 11) + 0.5) / 2**53
    return -weight / math.log(uniform)


def ranked(key: str, nodes: Sequence[Node]) -> list[Node]:
    """The nodes in the order in which `key` would have them; equal scores by name."""
    return sorted(nodes, key=lambda node: (-score(key, node.name, node.weight), node.name))


def capacity(node: Node, nodes: Sequence[Node], bound: Bound) -> int:
    """How much load `node` may have once one more has come."""
    weights = sum(each.weight for each in nodes)
    total = 1 + sum(each.load for each in nodes)
    share = node.weight / weights
    floor = bound.floor * share * len(nodes)
    return max(1, math.ceil(max(bound.factor * total * share, floor)))


def choose(key: str, nodes: Sequence[Node], bound: Bound) -> Choice:
    """Where `key` goes. There is always one, since a factor of 1 or more leaves room somewhere.

    Raises `ValueError` if there are no nodes.
    """
    if not nodes:
        raise ValueError("there is nothing to choose from")
    order = ranked(key, nodes)
    passed: list[str] = []
    for node in order:
        if node.load < capacity(node, nodes, bound):
            return Choice(node.name, tuple(passed))
        passed.append(node.name)
    raise AssertionError("a bound below the mean leaves no room")


def tries(key: str, nodes: Sequence[Node], bound: Bound) -> list[str]:
    """The order in which to try all nodes for `key`: its own, but those that would be passed over
    come last. Empty without nodes."""
    if not nodes:
        return []
    passed = set(choose(key, nodes, bound).passed)
    names = [node.name for node in ranked(key, nodes)]
    return sorted(names, key=lambda name: name in passed)  # stable
