"""The circuit breaker and the pauses between retries, with a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from troupe.gateway.breaker import Breaker, BreakerPolicy, State
from troupe.gateway.errors import BadRequest, ProviderUnavailable, RateLimited
from troupe.gateway.retry import RetryPolicy

POLICY = BreakerPolicy(failures=3, open_s=5.0, longest_open_s=12.0)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(3):
        breaker.begin(now)
        breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row_only():
    breaker = Breaker(POLICY)
    for _ in range(2):
        breaker.failed(0.0)
    breaker.succeeded()
    for _ in range(2):
        breaker.failed(0.0)
    assert breaker.state(0.0) is State.CLOSED
    breaker.failed(0.0)
    assert breaker.state(0.0) is State.OPEN
    assert breaker.wait(1.0) == 4.0


def test_half_open_lets_one_try_and_closes_when_it_succeeds():
    breaker = opened()
    assert breaker.state(5.0) is State.HALF_OPEN
    assert breaker.wait(5.0) == 0
    breaker.begin(5.0)
    assert breaker.wait(5.0) > 0
    breaker.succeeded()
    assert breaker.state(5.0) is State.CLOSED
    assert breaker.wait(5.0) == 0


def test_a_failed_try_opens_it_for_twice_as_long_up_to_a_limit():
    breaker, now = opened(), 5.0
    for length in (10.0, 12.0, 12.0):
        breaker.begin(now)
        breaker.failed(now)
        assert breaker.wait(now) == length
        now += length


def test_a_try_that_its_caller_gave_up_leaves_room_for_another():
    breaker = opened()
    breaker.begin(5.0)
    breaker.abandoned()
    assert breaker.wait(5.0) == 0


@given(st.lists(st.tuples(st.sampled_from(["ok", "bad", "gone", "begin"]), st.integers(0, 20))))
def test_it_never_locks_up(steps):
    breaker, now = Breaker(POLICY), 0.0
    for what, later in steps:
        now += later
        if what == "begin" and breaker.wait(now) == 0:
            breaker.begin(now)
        elif what == "ok":
            breaker.succeeded()
        elif what == "bad":
            breaker.failed(now)
        elif what == "gone":
            breaker.abandoned()
        assert 0 <= breaker.wait(now) <= 12.0
    breaker.abandoned()
    assert breaker.wait(now + 12.0) == 0


def test_pauses_double_and_honour_what_the_provider_asks():
    policy = RetryPolicy(attempts=4, first_pause_s=1.0, longest_pause_s=3.0, patience_s=10.0)
    error = ProviderUnavailable("x")
    for attempt, longest in ((1, 1.0), (2, 2.0), (3, 3.0)):
        pause = policy.pause(error, attempt, 0.0)
        assert pause is not None
        assert longest / 2 <= pause <= longest
    assert policy.pause(error, 4, 0.0) is None
    assert policy.pause(RateLimited("x", retry_after=7.0), 1, 0.0) == 7.0
    assert policy.pause(RateLimited("x", retry_after=7.0), 1, 4.0) is None
    assert policy.pause(BadRequest("x"), 1, 0.0) is None
