"""Who runs in the next step, and in what order a queue is served."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troupe.engine.errors import Overloaded
from troupe.engine.scheduler import AGEING, Admission, Dial, Scheduler, Slice, plan, urgency


@dataclass(eq=False)
class FakeJob:
    prompt: int
    run: int = 0
    arrived: float = 0.0
    urgency: float = 0.0
    answer: int = 0  # tokens still to draw
    seat: int = 0

    def __post_init__(self) -> None:
        self.urgency = urgency(self.prompt - self.run, self.arrived)

    @property
    def pending(self) -> int:
        return max(1, self.prompt - self.run)

    @property
    def decoding(self) -> bool:
        return self.run >= self.prompt


def start(_: FakeJob) -> Admission:
    return Admission.STARTED


def queue(dial: Dial | None = None, sequences: int = 32, waiting: int = 256) -> Scheduler[FakeJob]:
    return Scheduler(sequences, waiting, dial or Dial())


def running(dial: Dial, *jobs: FakeJob, sequences: int = 32) -> Scheduler[FakeJob]:
    scheduler = queue(dial, sequences)
    for job in jobs:
        scheduler.add(job, 0)
    scheduler.admit(start)
    return scheduler


def test_decodes_come_before_prefill() -> None:
    prompt, decode = FakeJob(100), FakeJob(5, 5)
    plan = running(Dial(step_tokens=20), prompt, decode).plan()
    assert plan == [Slice(decode, 1), Slice(prompt, 19)]


def test_the_shortest_suffix_goes_first_and_a_long_one_takes_what_is_left() -> None:
    long, short = FakeJob(30), FakeJob(20)
    assert running(Dial(step_tokens=40), long, short).plan() == [Slice(short, 20), Slice(long, 20)]


def test_what_is_cached_does_not_count() -> None:
    fresh, returning = FakeJob(30), FakeJob(1000, 990)
    assert running(Dial(step_tokens=15), fresh, returning).plan()[0] == Slice(returning, 10)


def test_who_has_waited_long_enough_is_overtaken_no_more() -> None:
    old = FakeJob(2000, arrived=10.0)
    soon, late = FakeJob(1, arrived=10.0 + 1990 / AGEING), FakeJob(1, arrived=10.1 + 2000 / AGEING)
    scheduler = queue()
    for job in (old, late, soon):
        scheduler.add(job, 0)
    assert scheduler.waiting == [soon, old, late]


def test_equals_are_served_in_order_of_arrival() -> None:
    jobs = [FakeJob(5) for _ in range(5)]
    scheduler = running(Dial(), *jobs, sequences=2)
    assert scheduler.running == jobs[:2]
    scheduler.remove(jobs[0])
    assert scheduler.admit(start) == [jobs[2]]


def test_prefill_moves_even_when_decodes_fill_the_step() -> None:
    jobs = [FakeJob(1, 1) for _ in range(3)]
    prompt = FakeJob(9)
    plan = running(Dial(step_tokens=4), *jobs, prompt).plan()
    assert plan[-1] == Slice(prompt, 1)
    assert len(plan) == 4


def test_nobody_overtakes_a_job_that_does_not_fit_yet() -> None:
    big, small = FakeJob(50), FakeJob(60)
    scheduler = queue()
    scheduler.add(big, 0)
    scheduler.add(small, 0)
    fits = {id(small): Admission.STARTED, id(big): Admission.NO_ROOM}
    assert scheduler.admit(lambda job: fits[id(job)]) == []


def test_others_pass_a_job_that_waits_for_another_s_pages() -> None:
    held, other = FakeJob(5), FakeJob(60)
    scheduler = queue()
    scheduler.add(held, 0)
    scheduler.add(other, 0)
    says = {id(held): Admission.HELD, id(other): Admission.STARTED}
    assert scheduler.admit(lambda job: says[id(job)]) == [other]
    assert scheduler.waiting == [held]


def test_a_full_queue_refuses() -> None:
    scheduler = queue(waiting=1)
    scheduler.add(FakeJob(1), 3.0)
    with pytest.raises(Overloaded, match="no more than 1") as refused:
        scheduler.add(FakeJob(1), 3.0)
    assert refused.value.retry_after_s == 3


def test_a_queue_longer_than_the_dial_says_refuses() -> None:
    scheduler = queue(Dial(queue_target_s=2.0))
    scheduler.add(FakeJob(1), 2.0)
    with pytest.raises(Overloaded, match=r"5\.0 seconds") as refused:
        scheduler.add(FakeJob(1), 5.0)
    assert refused.value.retry_after_s == 3
    scheduler.dial = Dial()
    scheduler.add(FakeJob(1), 5.0)


def test_a_waiting_job_can_leave() -> None:
    scheduler = queue()
    jobs = [FakeJob(size) for size in (1, 2, 2, 2, 3)]
    for job in jobs:
        scheduler.add(job, 0)
    scheduler.remove(jobs[2])
    scheduler.remove(jobs[2])
    assert scheduler.waiting == [*jobs[:2], *jobs[3:]]


def test_fewer_rows_than_decodes_are_shared_in_turns() -> None:
    jobs = [FakeJob(1, 1) for _ in range(5)]
    scheduler = running(Dial(step_tokens=8), *jobs)
    scheduler.dial = Dial(step_tokens=2)
    served = [id(piece.job) for _ in range(5) for piece in scheduler.plan()]
    assert all(served.count(id(job)) == 2 for job in jobs)
    late = FakeJob(1)
    scheduler.add(late, 0)
    assert scheduler.admit(start) == []


@given(
    prompts=st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=20),
    step_tokens=st.integers(1, 64),
)
def test_a_step_keeps_its_rows_and_every_prompt_ends(
    prompts: list[tuple[int, bool]], step_tokens: int
) -> None:
    jobs = [FakeJob(size, size if done else 0) for size, done in prompts]
    for _ in range(20 * 300):
        step = plan(jobs, step_tokens)
        decodes = sum(piece.job.decoding for piece in step)
        rows = sum(piece.count for piece in step)
        assert rows <= max(step_tokens, decodes + 1) <= step_tokens + 1
        assert decodes == min(step_tokens, sum(job.decoding for job in jobs))
        for piece in step:
            assert 1 <= piece.count <= piece.job.pending
            if not piece.job.decoding:
                piece.job.run += piece.count
        if all(job.decoding for job in jobs):
            return
    pytest.fail("a prompt was starved")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), load=st.floats(0.3, 3.0))
def test_nobody_starves_whatever_comes_and_however_the_dial_is_turned(
    seed: int, load: float
) -> None:
    """A simulation: a step takes a millisecond a row; jobs come at random, most short, some long,
    and the dial moves. Every job ends, and is started before any that came too late to pass it."""
    rng = random.Random(seed)
    scheduler = queue(Dial(step_tokens=32), sequences=4, waiting=10**6)
    clock, due = 0.0, 0.0
    left = 120
    started: list[FakeJob] = []
    while left or scheduler.waiting or scheduler.running:
        while left and due <= clock:
            long = rng.random() < 0.1
            size = rng.randrange(1000, 3000) if long else rng.randrange(1, 60)
            job = FakeJob(size, arrived=due, answer=rng.randrange(1, 30))
            scheduler.add(job, 0)
            left -= 1
            due += rng.expovariate(10.0) / load
        if rng.random() < 0.05:
            scheduler.dial = Dial(rng.choice([1, 2, 8, 32, 200]))
        started += scheduler.admit(start)
        step = scheduler.plan()
        assert sum(piece.count for piece in step) <= scheduler.dial.step_tokens + 1
        clock += max(0.001, 0.001 * sum(piece.count for piece in step))
        if not step:
            clock = max(clock, due)
        for piece in step:
            if piece.job.decoding:
                piece.job.answer -= 1
            else:
                piece.job.run += piece.count
            if piece.job.answer == 0:
                scheduler.remove(piece.job)
    assert len(started) == 120
    for place, late in enumerate(started):
        for passed in started[place + 1 :]:
            assert late.arrived <= passed.arrived + passed.prompt / AGEING


def test_the_youngest_gives_way_and_goes_on_before_all_that_wait() -> None:
    first, second, third = FakeJob(5), FakeJob(5), FakeJob(5)
    scheduler = running(Dial(), first, second, sequences=2)
    scheduler.add(third, 0)
    assert scheduler.youngest() is second
    scheduler.preempt(second)
    assert scheduler.youngest() is first
    assert scheduler.jobs == [first, second, third]
    assert scheduler.admit(lambda _: Admission.NO_ROOM) == []
    assert scheduler.admit(start) == [second]
    assert scheduler.youngest() is second


def test_several_that_gave_way_go_on_in_the_order_of_their_admission() -> None:
    jobs = [FakeJob(5) for _ in range(4)]
    scheduler = running(Dial(), *jobs)
    for job in (jobs[3], jobs[1], jobs[2]):
        scheduler.preempt(job)
    assert scheduler.swapped == jobs[1:]
    asked: list[FakeJob] = []

    def start_one(job: FakeJob) -> Admission:
        asked.append(job)
        return Admission.STARTED if len(asked) == 1 else Admission.NO_ROOM

    assert scheduler.admit(start_one) == [jobs[1]]
    assert asked == [jobs[1], jobs[2]]
    scheduler.remove(jobs[2])
    assert scheduler.jobs == [jobs[0], jobs[1], jobs[3]]
