"""The circuit breaker as a function of outcomes and the clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from troupe.gateway.breaker import Breaker, Circuit


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(threshold=3)
    for outcome in ("fail", "fail", "well", "fail", "fail"):
        assert breaker.admit(0)
        breaker.failed(0) if outcome == "fail" else breaker.succeeded()
    assert breaker.state(0) is Circuit.CLOSED
    breaker.failed(0)
    assert breaker.state(0) is Circuit.OPEN
    assert not breaker.admit(1)
    assert breaker.wait_s(1) == 4


def test_after_the_pause_one_call_decides() -> None:
    breaker = Breaker(threshold=1, cooldown_s=5)
    breaker.failed(0)
    assert breaker.admit(6)
    assert not breaker.admit(6), "one probe at a time"
    breaker.failed(6)
    assert not breaker.admit(7)
    assert breaker.admit(11)
    breaker.succeeded()
    assert breaker.state(11) is Circuit.CLOSED


def test_a_probe_whose_caller_left_makes_room_for_the_next() -> None:
    breaker = Breaker(threshold=1, cooldown_s=5)
    breaker.failed(0)
    assert breaker.admit(5)
    breaker.left()
    assert breaker.admit(5)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["failed", "succeeded", "left"]))))
def test_it_never_stays_shut_for_longer_than_its_pause(steps: list[tuple[float, str]]) -> None:
    breaker, now = Breaker(threshold=2, cooldown_s=5), 0.0
    for pause, outcome in steps:
        now += pause
        if breaker.admit(now):
            if outcome == "failed":
                breaker.failed(now)
            else:
                getattr(breaker, outcome)()
    assert breaker.wait_s(now) <= 5.001
    assert breaker.admit(now + 5.001)
