"""Pages of sliding layers: given up behind the window, kept where prompts go on, never missed."""

from __future__ import annotations

import pytest

from tests.engine.memory import Bench
from tests.engine.shapes import tiny_config
from troupe.engine.config import FULL
from troupe.engine.kv import Layout, check
from troupe.engine.kv.layout import groups_of, is_split
from troupe.engine.steps import GLOBAL, PAGE, SCRATCH_PAGE

WINDOW = 40
LONG = [7 * i % 901 for i in range(400)]


def bench_of(pages: int = 80, local: int = 40, slack: int = 16) -> Bench:
    return Bench(pages, local, window=WINDOW, slack=slack)


def spare(bench: Bench) -> int:
    return sum(node.spare for node in bench.cache.tree.nodes())


def test_a_long_conversation_keeps_local_pages_of_its_end_only() -> None:
    bench = bench_of()
    bench.keep(LONG)
    assert bench.cache.used_pages()[GLOBAL] == 25
    assert 25 - spare(bench) <= 1 + -(-(WINDOW + 16) // PAGE)


def test_with_room_every_local_page_stays() -> None:
    bench = bench_of()
    bench.keep(LONG)
    assert bench.keep([*LONG[:77], 5, 6]) == 77


def test_without_room_what_is_behind_the_window_goes_first() -> None:
    bench = bench_of(local=20)
    for talk in (1000, 2000, 3000):
        bench.keep(list(range(talk, talk + 200)))
    for talk in (1000, 2000, 3000):
        assert bench.held([*range(talk, talk + 200), 5]) == 200


def test_a_long_prompt_needs_few_local_pages_while_it_runs() -> None:
    bench = bench_of(local=8)
    assert bench.keep(LONG, chunk=32) == 0
    assert bench.keep([*LONG, 5, 6]) == 400


def test_what_a_running_generation_no_longer_sees_is_scratch_in_its_table() -> None:
    bench = bench_of(local=7)
    lease = bench.begin(LONG)
    assert lease is not None
    for start in range(0, 400, PAGE):
        assert bench.run(lease, LONG, start, start + PAGE)
        bench.cache.share(lease, LONG, start + PAGE)
    assert lease.local is not None
    assert lease.local[:18] == [SCRATCH_PAGE] * 18
    assert SCRATCH_PAGE not in lease.local[-3:]
    check(bench.cache)


@pytest.mark.parametrize("cut", [1, 5, 16, 17])
def test_within_the_slack_a_prompt_goes_on_to_the_token(cut: int) -> None:
    bench = bench_of(local=7, slack=32)
    bench.keep(LONG)
    assert bench.held([*LONG[:-cut], 999]) == 400 - cut
    assert bench.keep([*LONG[:-cut], 999, 998]) == 400 - cut


def test_farther_back_the_match_shortens_to_where_the_window_is_held() -> None:
    bench = bench_of(local=14)
    bench.keep(LONG)
    edited = [*LONG[:200], *range(1000, 1100)]
    assert bench.keep(edited) == 0  # run from the start, and its pages are the first one's again
    assert bench.cache.used_pages()[GLOBAL] == 25 + 7
    assert bench.keep([*LONG[:200], 5, 6]) == 200  # now it is known that prompts part there
    assert bench.keep([*LONG, 5]) == 400


def test_the_window_before_a_branch_point_is_kept() -> None:
    bench = bench_of(local=14, slack=0)
    first = [*LONG[:100], *range(1000, 1300)]
    second = [*LONG[:100], *range(2000, 2300)]
    bench.keep(LONG[:100])
    bench.keep(first)
    bench.keep(LONG[:100])
    assert bench.keep(second) <= 100
    bench.keep(first)
    bench.keep(second)
    assert bench.keep([*LONG[:100], 3, 3]) == 100
    check(bench.cache)


def test_a_branch_that_is_gone_keeps_no_window() -> None:
    bench = bench_of(slack=0)
    swipe = [*LONG[:97], 5]
    bench.keep(swipe)
    bench.keep(LONG)
    before = spare(bench)
    [node] = [n for n in bench.cache.tree.nodes() if n.tokens[-1] == 5 and not n.children]
    bench.cache.tiers.drop(node)
    bench.keep([*LONG, 1])
    assert spare(bench) > before + 1
    check(bench.cache)


def test_when_local_pages_run_out_those_that_nobody_reads_go_first() -> None:
    """Even of a prefix that is being read: an answer is worth more than slack."""
    bench = Bench(60, 9, window=WINDOW, slack=64)
    lease = bench.begin(LONG[:300])
    assert lease is not None
    for start in range(0, 300, 30):
        assert bench.run(lease, LONG, start, start + 30)
        bench.cache.share(lease, LONG, start + 30)
        check(bench.cache)
    bench.cache.release(lease, LONG, 300)
    check(bench.cache)


def test_models_whose_window_reaches_over_the_context_have_one_group() -> None:
    assert is_split(tiny_config(sliding_window=8), 256)
    assert not is_split(tiny_config(sliding_window=256), 256)
    assert not is_split(tiny_config(sliding_window=64), 64)
    full = tiny_config(layer_types=(FULL,) * 12)
    assert not is_split(full, 256)
    assert groups_of(full, 256) == (tuple(range(6)),)


def test_a_budget_is_shared_out_by_need() -> None:
    layout = Layout((400, 500), window=64, slack=32, context=1024)
    pages, local = layout.split(10_000_000)
    assert 0.98 < (400 * pages + 500 * local) / 10_000_000 <= 1.0
    assert 0.2 < local / pages < 0.25  # 112 of the 512 tokens of a middling conversation
    least = layout.least
    assert layout.split(layout.least_bytes, least) >= least
    for budget in range(layout.least_bytes, 200_000, 777):
        got = layout.split(budget, least)
        assert all(n >= m for n, m in zip(got, least, strict=True))
        assert 400 * got[0] + 500 * got[1] <= budget
    assert Layout((900,), None, 0, 1024).split(9000) == (10,)
