"""Prompts that begin alike: who waits for whom, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from troupe.engine.inflight import common_prefix, leader_of, waits_for
from troupe.engine.steps import PAGE


@dataclass(eq=False)
class FakePrefill:
    prompt: list[int]
    salt: str = ""
    offered: int = 0
    prefilling: bool = True
    urgency: float = field(default=0.0)


LONG = list(range(100))


def test_the_pages_two_prompts_share_are_waited_for() -> None:
    leader = FakePrefill(LONG)
    wait = leader_of("", [*LONG[:50], 7, 7], 0, [leader])
    assert wait is not None
    assert (wait.leader, wait.until) == (leader, 50 // PAGE * PAGE)
    assert not wait.over
    leader.offered = 48
    assert wait.over


def test_a_leader_that_ends_early_lets_go() -> None:
    leader = FakePrefill(LONG)
    wait = leader_of("", LONG, 0, [leader])
    assert wait is not None
    leader.prefilling = False
    assert wait.over


def test_the_last_token_is_run_in_any_case() -> None:
    wait = leader_of("", LONG[:33], 0, [FakePrefill(LONG)])
    assert wait is not None
    assert wait.until == 32
    assert leader_of("", LONG[:32], 16, [FakePrefill(LONG)]) is None


def test_nobody_waits_for_what_is_there_or_less_than_a_page_or_another_tenant_s() -> None:
    assert leader_of("", LONG, 96, [FakePrefill(LONG)]) is None
    assert leader_of("", LONG, 0, [FakePrefill(LONG, offered=96)]) is None
    assert leader_of("", [*LONG[: PAGE - 1], 7, 7], 0, [FakePrefill(LONG)]) is None
    assert leader_of("", LONG, 0, [FakePrefill(LONG, salt="other")]) is None
    assert leader_of("", LONG, 0, [FakePrefill(LONG, prefilling=False)]) is None


def test_the_leader_with_most_to_give_is_taken() -> None:
    short, long = FakePrefill(LONG[:40]), FakePrefill(LONG[:80])
    wait = leader_of("", LONG, 0, [short, long, FakePrefill(LONG[:30])])
    assert wait is not None
    assert (wait.leader, wait.until) == (long, 80)


@given(
    a=st.lists(st.integers(0, 1), max_size=40),
    b=st.lists(st.integers(0, 1), max_size=40),
    limit=st.integers(0, 50),
)
def test_the_common_prefix_is_the_longest(a: list[int], b: list[int], limit: int) -> None:
    found = common_prefix(a, b, limit)
    assert a[:found] == b[:found]
    assert found == min(len(a), len(b), limit) or a[found] != b[found]


def test_a_wait_lasts_until_it_is_over_and_lends_its_urgency() -> None:
    leader, job = FakePrefill(LONG, urgency=9.0), FakePrefill(LONG, prefilling=False, urgency=2.0)
    wait = waits_for(job, None, [leader], lambda *_: 0)
    assert wait is not None
    assert leader.urgency == 2.0
    assert waits_for(job, wait, [], lambda *_: 0) is wait
    leader.offered = 96
    assert waits_for(job, wait, [leader], lambda *_: 96) is None
    other = FakePrefill(LONG)
    again = waits_for(job, wait, [other], lambda *_: 48)
    assert again is not None
    assert again.leader is other
