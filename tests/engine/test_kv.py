"""What is kept between turns: matches to the token, owners of pages, eviction."""

from __future__ import annotations

from tests.engine.memory import Bench
from troupe.engine.kv import check
from troupe.engine.steps import GLOBAL, PAGE

PROMPT = list(range(100, 150))


def test_a_new_cache_holds_nothing() -> None:
    assert Bench(10).keep(PROMPT) == 0


def test_the_same_prompt_runs_its_last_token_only() -> None:
    bench = Bench(10)
    bench.keep(PROMPT)
    assert bench.keep(PROMPT) == len(PROMPT) - 1


def test_a_longer_prompt_reuses_all_that_was_kept() -> None:
    bench = Bench(20)
    bench.keep(PROMPT)
    assert bench.keep([*PROMPT, 1, 2, 3]) == len(PROMPT)


def test_one_changed_token_ends_the_match_exactly_there() -> None:
    for changed in range(len(PROMPT)):
        bench = Bench(20)
        bench.keep(PROMPT)
        edited = [*PROMPT[:changed], 7, *PROMPT[changed + 1 :], 8, 9]
        assert bench.held(edited) == changed
        assert bench.keep(edited) == changed


def test_a_page_shared_in_part_is_copied_not_shared() -> None:
    bench = Bench(20)
    bench.keep(PROMPT)
    lease = bench.begin([*PROMPT[:20], 7, 8], 30)
    assert lease is not None
    assert len(lease.path) == 1
    assert lease.cached == 20
    assert lease.pages[1] not in {node.slots[GLOBAL] for node in bench.cache.tree.nodes()}


def test_no_tenant_sees_another_s_tokens() -> None:
    bench = Bench(20)
    bench.keep(PROMPT, salt="a")
    assert bench.keep(PROMPT, salt="b") == 0
    assert bench.held(PROMPT) == 0


def test_a_cancelled_generation_keeps_what_it_computed() -> None:
    bench = Bench(20)
    lease = bench.begin(PROMPT, 100)
    assert lease is not None
    assert bench.run(lease, PROMPT, 0, 21)
    bench.cache.release(lease, PROMPT, 21)
    assert bench.held(PROMPT) == 21
    check(bench.cache)


def test_full_pages_are_offered_while_a_prompt_is_still_being_run() -> None:
    bench = Bench(20)
    first = bench.begin(PROMPT, 100)
    assert first is not None
    assert bench.run(first, PROMPT, 0, 35)
    bench.cache.share(first, PROMPT, 35)
    second = bench.begin(PROMPT, 60)
    assert second is not None
    assert second.cached == 2 * PAGE
    assert second.pages[:2] == first.pages[:2]
    check(bench.cache)
    assert bench.run(second, PROMPT, 32, 50)
    bench.cache.release(second, PROMPT, 50)
    bench.cache.release(first, PROMPT, 35)
    check(bench.cache)
    assert bench.held(PROMPT) == 50


def test_two_that_run_the_same_prompt_end_up_with_one_copy() -> None:
    bench = Bench(20)
    leases = [bench.begin(PROMPT) for _ in range(2)]
    for lease in leases:
        assert lease is not None
        assert lease.cached == 0
        assert bench.run(lease, PROMPT, 0, len(PROMPT))
        bench.cache.share(lease, PROMPT, len(PROMPT))
    first, second = leases
    assert first is not None
    assert second is not None
    assert first.pages[:3] == second.pages[:3]
    assert bench.cache.used_pages() == (3 + 2,)
    bench.verify(second, PROMPT, 48)
    for lease in (first, second):
        bench.cache.release(lease, PROMPT, len(PROMPT))
    assert bench.cache.used_pages() == (4,)
    check(bench.cache)


def test_a_lease_grows_page_by_page() -> None:
    bench = Bench(4)
    tokens = PROMPT
    lease = bench.begin(tokens[:5])
    assert lease is not None
    assert bench.cache.used_pages() == (1,)
    for end in range(1, len(tokens) + 1):
        assert bench.run(lease, tokens, end - 1, end)
        assert bench.cache.used_pages() == (-(-end // PAGE),)
    assert not bench.cache.grow(lease, len(tokens), 65)
    bench.cache.release(lease, tokens, len(tokens))
    check(bench.cache)


def test_the_least_recently_used_conversation_goes_first() -> None:
    bench = Bench(6)
    old, new = [1] * 32, [2] * 32
    bench.keep(old)
    bench.keep(new)
    bench.keep(old)  # used again
    bench.begin([3] * 60)
    assert bench.held(old) == 32
    assert bench.held(new) == 0


def test_pages_in_use_are_never_evicted() -> None:
    bench = Bench(4)
    bench.keep(PROMPT[:33])
    lease = bench.begin(PROMPT[:33], 40)
    assert lease is not None
    assert bench.begin([9] * 30) is None
    check(bench.cache)
    bench.cache.release(lease, PROMPT, lease.cached)
    assert bench.begin([9] * 30) is not None


def test_a_prompt_that_needs_every_page_gives_up_a_partial_match_rather_than_wait() -> None:
    bench = Bench(4)
    bench.keep(PROMPT[:20])
    lease = bench.begin([*PROMPT[:18], 7, 8], 4 * PAGE)
    assert lease is not None
    assert lease.cached == PAGE
    check(bench.cache)


def test_a_grown_tail_replaces_the_shorter_one() -> None:
    bench = Bench(20)
    bench.keep(PROMPT[:20])
    bench.keep(PROMPT[:25])
    assert bench.cache.used_pages() == (2,)
    assert bench.held(PROMPT) == 25


def test_a_conversation_that_was_only_a_tail_may_grow_into_pages() -> None:
    bench = Bench(20)
    bench.keep(PROMPT[:5])
    bench.keep(PROMPT)
    assert bench.held(PROMPT) == len(PROMPT)
    assert bench.cache.used_pages() == (4,)


def test_the_queue_of_evictions_does_not_grow_with_turns() -> None:
    bench = Bench(200)
    for turn in range(1, 3000):
        bench.keep([turn % 7] * (1 + turn % 9), chunk=PAGE)
    assert len(bench.cache.tiers.levels[0].queue._heap) < 1500
