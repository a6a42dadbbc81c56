"""Arenas: pages of each group are copied, taken out and put back whole, and nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.shapes import tiny_config
from troupe.engine.backends import Name, choose
from troupe.engine.config import SLIDING
from troupe.engine.steps import GLOBAL, LOCAL, PAGE, Arena, layer_groups


def arena_of(backend: Name, *counts: int) -> Arena:
    arena: Arena = choose(backend, tiny_config()).arena(tiny_config(), *counts)
    rng = np.random.default_rng(5)
    for group, count in enumerate(arena.counts):
        floats = rng.standard_normal((count, arena.page_bytes[group] // 4)).astype(np.float32)
        arena.write(group, range(count), floats.view(np.uint8))
    return arena


def test_groups_hold_each_layer_with_keys_and_values_once() -> None:
    config = tiny_config()
    full, local = layer_groups(config, 2)
    assert sorted(full + local) == list(layer_groups(config, 1)[0]) == list(range(6))
    assert all(config.layer_types[i] == SLIDING for i in local)
    assert full == (5,)


@pytest.mark.parametrize("backend", ["native", "eager"])
@pytest.mark.parametrize("counts", [(9,), (9, 5)])
def test_pages_go_out_and_in_unchanged(backend: Name, counts: tuple[int, ...]) -> None:
    arena = arena_of(backend, *counts)
    assert arena.counts == counts
    for group in range(len(counts)):
        before = arena.read(group, range(counts[group]))
        taken = arena.read(group, [3, 1])
        assert taken.dtype == np.uint8
        assert taken.shape == (2, arena.page_bytes[group])
        assert np.array_equal(taken, before[[3, 1]])
        arena.write(group, [2, 4], taken)
        after = arena.read(group, range(counts[group]))
        before[[2, 4]] = taken
        assert np.array_equal(after, before)


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_a_copy_stays_in_its_group(backend: Name) -> None:
    arena = arena_of(backend, 6, 6)
    others = [arena.read(group, range(6)) for group in (GLOBAL, LOCAL)]
    arena.copy(2, 4, PAGE, LOCAL)
    assert np.array_equal(arena.read(GLOBAL, range(6)), others[GLOBAL])
    assert np.array_equal(arena.read(LOCAL, [4]), others[LOCAL][[2]])


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_two_groups_take_the_bytes_of_one(backend: Name) -> None:
    chosen, config = choose(backend, tiny_config()), tiny_config()
    one, two = arena_of(backend, 4), arena_of(backend, 4, 4)
    assert one.page_bytes[0] == PAGE * chosen.token_bytes(config)
    sizes = [PAGE * chosen.token_bytes(config, layers) for layers in layer_groups(config, 2)]
    assert list(two.page_bytes) == sizes
    assert sum(sizes) == one.page_bytes[0]
