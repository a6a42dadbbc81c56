"""A kept prefix is found by its hash: the caller's hashes and the engine's are the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.memory import Bench
from troupe.engine.kv import KVCache
from troupe.engine.kv.index import NOTHING, chained
from troupe.engine.steps import PAGE
from troupe.prompt.hashes import BLOCK, block_hashes

PROMPT = list(range(100, 150))


def cache_with(tokens: list[int], salt: str = "") -> KVCache:
    bench = Bench(40)
    bench.keep(tokens, salt)
    return bench.cache


def test_the_prompt_compiler_cuts_at_the_engine_s_pages() -> None:
    assert BLOCK == PAGE


@given(st.lists(st.integers(0, 2**31 - 1), max_size=100))
def test_the_prompt_compiler_s_hashes_are_the_engine_s(ids: list[int]) -> None:
    hashes, last = [], NOTHING
    for start in range(0, len(ids) - PAGE + 1, PAGE):
        last = chained(last, ids[start : start + PAGE])
        hashes.append(last)
    assert block_hashes(ids) == tuple(hashes)


def test_a_hash_is_what_it_always_was() -> None:
    """Stored snapshots and other people's clients depend on it."""
    assert chained(NOTHING, range(PAGE)).hex() == GOLDEN[0]
    assert chained(chained(NOTHING, range(PAGE)), range(PAGE)).hex() == GOLDEN[1]


GOLDEN = ("d995551d6b33c83d05b8d9a79d1c7671", "49fefcc224eab1176ca63243a184d7c4")


def test_every_full_page_of_what_was_kept_is_found() -> None:
    cache = cache_with(PROMPT)
    for pages, digest in enumerate(block_hashes(PROMPT), 1):
        assert cache.find("", digest, pages * PAGE) == PROMPT[: pages * PAGE]


def test_nothing_is_found_for_another_salt_hash_or_length() -> None:
    cache = cache_with(PROMPT, salt="a")
    digest = block_hashes(PROMPT)[1]
    assert cache.find("a", digest, 32) == PROMPT[:32]
    assert cache.find("b", digest, 32) is None
    assert cache.find("a", digest, 16) is None
    assert cache.find("a", digest, 33) is None
    assert cache.find("a", bytes(16), 32) is None


def test_what_was_evicted_is_not_found() -> None:
    bench = Bench(4)
    bench.keep(list(range(64)))
    bench.keep(list(range(1000, 1064)))
    assert bench.cache.find("", block_hashes(range(64))[0], PAGE) is None
    assert bench.cache.find("", block_hashes(range(1000, 1064))[3], 64) is not None


def test_an_estimate_counts_whole_pages() -> None:
    cache = cache_with(PROMPT, salt="a")
    assert cache.estimate("a", [*PROMPT, 1, 2]) == 48
    assert cache.estimate("a", [*PROMPT[:40], *range(60)]) == 32
    assert cache.estimate("b", PROMPT) == 0
