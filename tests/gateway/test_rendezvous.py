"""Rendezvous hashing: who stays, who moves, and how full anyone gets."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.gateway.rendezvous import Bound, Choice, Node, capacity, choose, ranked, score, tries

KEYS = [f"chat-{number}" for number in range(4000)]
NO_BOUND = Bound(factor=1e9)
STRICT = Bound(factor=1.25, floor=0.0)

names = st.lists(st.text(max_size=8), min_size=1, max_size=12, unique=True)
weights = st.floats(0.01, 100.0)


def nodes(count: int, weight: float = 1.0) -> list[Node]:
    return [Node(f"10.0.0.{number}:8010", weight=weight) for number in range(count)]


def homes(among: list[Node]) -> dict[str, str]:
    return {key: ranked(key, among)[0].name for key in KEYS}


@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_when_one_goes_only_its_own_keys_move(count: int) -> None:
    before = homes(nodes(count))
    gone = nodes(count)[count // 2]
    after = homes([node for node in nodes(count) if node != gone])
    moved = {key for key in KEYS if before[key] != after[key]}
    assert moved == {key for key in KEYS if before[key] == gone.name}
    share = len(KEYS) / count
    assert abs(len(moved) - share) < 5 * math.sqrt(share)
    # And they spread over all that are left, rather than falling on one.
    spread = Counter(after[key] for key in moved)
    assert len(spread) == count - 1
    assert max(spread.values()) < 2 * len(moved) / (count - 1) + 20


@given(st.lists(st.text(max_size=8), min_size=2, max_size=12, unique=True), st.text(), st.data())
def test_whoever_comes_or_goes_the_order_of_the_others_is_the_same(found, key, data):
    gone = data.draw(st.sampled_from(found))
    among = [Node(name, weight=data.draw(weights)) for name in found]
    order = [node.name for node in ranked(key, among)]
    left = [node.name for node in ranked(key, [node for node in among if node.name != gone])]
    assert left == [name for name in order if name != gone]


@given(names, st.text(), st.randoms())
def test_the_order_does_not_depend_on_how_they_are_listed(found, key, dice):
    among = [Node(name) for name in found]
    mixed = list(among)
    dice.shuffle(mixed)
    assert ranked(key, among) == ranked(key, mixed)


def test_keys_follow_weights() -> None:
    among = [Node("small", weight=1.0), Node("large", weight=3.0)]
    count = Counter(homes(among).values())
    assert abs(count["large"] / len(KEYS) - 0.75) < 0.03


def test_a_weight_that_grows_takes_keys_and_gives_none() -> None:
    before = homes([Node("a"), Node("b"), Node("c")])
    after = homes([Node("a", weight=2.0), Node("b"), Node("c")])
    assert {after[key] for key in KEYS if after[key] != before[key]} == {"a"}


def test_equal_scores_are_ordered_by_name() -> None:
    among = [Node("b", weight=0.0), Node("a", weight=0.0)]
    assert [node.name for node in ranked("k", among)] == ["a", "b"]


def test_the_score_is_fixed_for_ever() -> None:
    # Web processes of two versions must agree, or conversations move at every upgrade.
    assert score("chat-1", "http://127.0.0.1:8010") == pytest.approx(3.630733581301839, rel=1e-12)


@given(
    st.lists(weights, min_size=1, max_size=10),
    st.integers(0, 200),
    st.floats(1.0, 3.0),
    st.integers(0, 2**32),
)
def test_no_load_passes_the_bound(found, requests, factor, seed):
    """Answers begin and end at random; at every beginning the chosen one is within its bound."""
    bound, dice = Bound(factor, floor=0.0), random.Random(seed)
    load = dict.fromkeys(range(len(found)), 0)
    running: list[int] = []
    for number in range(requests):
        if running and dice.random() < 0.3:
            load[running.pop(dice.randrange(len(running)))] -= 1
        among = [Node(str(at), load[at], weight) for at, weight in enumerate(found)]
        at = int(choose(f"chat-{number % 7}", among, bound).name)
        load[at] += 1
        running.append(at)
        share = factor * sum(load.values()) * found[at] / sum(found)
        assert load[at] <= max(1, math.ceil(share))


def test_whoever_is_full_is_passed_over_for_the_next_choice() -> None:
    among = [Node("a", 9), Node("b", 0), Node("c", 9)]
    key = next(k for k in KEYS if [n.name for n in ranked(k, among)] == ["a", "c", "b"])
    assert choose(key, among, STRICT) == Choice("b", ("a", "c"))
    assert choose(key, among, NO_BOUND) == Choice("a")


def test_those_at_the_bound_are_tried_last() -> None:
    among = [Node("a", 9), Node("b", 0), Node("c", 9)]
    key = next(k for k in KEYS if [n.name for n in ranked(k, among)] == ["a", "c", "b"])
    assert tries(key, among, STRICT) == ["b", "a", "c"]
    assert tries(key, among, NO_BOUND) == ["a", "c", "b"]
    assert tries(key, [], STRICT) == []


def test_a_little_load_moves_nobody() -> None:
    among = [Node("a", 3), Node("b"), Node("c"), Node("d")]
    key = next(k for k in KEYS if ranked(k, among)[0].name == "a")
    assert choose(key, among, Bound()).name == "a"
    assert choose(key, among, STRICT).name != "a"
    assert capacity(among[0], among, Bound()) == 4


def test_without_nodes_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="nothing to choose from"):
        choose("k", [], Bound())
