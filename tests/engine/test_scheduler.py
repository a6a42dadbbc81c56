"""Who runs in the next step."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.engine.errors import Overloaded
from troupe.engine.scheduler import Limits, Scheduler, Slice


@dataclass(eq=False)
class FakeJob:
    prompt: int
    run: int = 0

    @property
    def pending(self) -> int:
        return max(1, self.prompt - self.run)

    @property
    def decoding(self) -> bool:
        return self.run >= self.prompt


def running(limits: Limits, *jobs: FakeJob) -> Scheduler[FakeJob]:
    scheduler: Scheduler[FakeJob] = Scheduler(limits)
    for job in jobs:
        scheduler.add(job, 1)
    scheduler.admit(lambda _: True)
    return scheduler


def test_decodes_come_before_prefill() -> None:
    prompt, decode = FakeJob(100), FakeJob(5, 5)
    plan = running(Limits(step_tokens=20), prompt, decode).plan()
    assert plan == [Slice(decode, 1), Slice(prompt, 19)]


def test_a_long_prompt_is_cut_and_the_first_come_goes_first() -> None:
    first, second = FakeJob(30), FakeJob(30)
    assert running(Limits(step_tokens=40), first, second).plan() == [
        Slice(first, 30),
        Slice(second, 10),
    ]


def test_prefill_moves_even_when_decodes_fill_the_step() -> None:
    jobs = [FakeJob(1, 1) for _ in range(4)]
    prompt = FakeJob(9)
    plan = running(Limits(step_tokens=4), *jobs, prompt).plan()
    assert plan[-1] == Slice(prompt, 1)
    assert len(plan) == 5


def test_no_more_run_than_the_limit_and_the_rest_wait_in_order() -> None:
    jobs = [FakeJob(5) for _ in range(5)]
    scheduler = running(Limits(max_sequences=2), *jobs)
    assert scheduler.running == jobs[:2]
    scheduler.remove(jobs[0])
    assert scheduler.admit(lambda _: True) == [jobs[2]]


def test_nobody_overtakes_a_job_that_does_not_fit_yet() -> None:
    big, small = FakeJob(50), FakeJob(1)
    scheduler: Scheduler[FakeJob] = Scheduler(Limits())
    scheduler.add(big, 1)
    scheduler.add(small, 1)
    assert scheduler.admit(lambda job: job.prompt < 10) == []


def test_a_full_queue_refuses() -> None:
    scheduler: Scheduler[FakeJob] = Scheduler(Limits(max_waiting=1))
    scheduler.add(FakeJob(1), 3)
    with pytest.raises(Overloaded) as refused:
        scheduler.add(FakeJob(1), 3)
    assert refused.value.retry_after_s == 3


def test_a_waiting_job_can_leave() -> None:
    scheduler: Scheduler[FakeJob] = Scheduler(Limits())
    job = FakeJob(1)
    scheduler.add(job, 1)
    scheduler.remove(job)
    scheduler.remove(job)
    assert not scheduler.waiting


@given(
    prompts=st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=20),
    step_tokens=st.integers(1, 64),
)
def test_a_step_keeps_its_budget_and_every_job_ends(
    prompts: list[tuple[int, bool]], step_tokens: int
) -> None:
    jobs = [FakeJob(size, size if done else 0) for size, done in prompts]
    scheduler = running(Limits(max_sequences=32, step_tokens=step_tokens), *jobs)
    for _ in range(20 * 300):
        plan = scheduler.plan()
        decodes = sum(piece.job.decoding for piece in plan)
        rows = sum(piece.count for piece in plan)
        assert rows <= max(step_tokens, decodes + 1)
        assert decodes == sum(job.decoding for job in jobs)
        for piece in plan:
            assert 1 <= piece.count <= piece.job.pending
            if not piece.job.decoding:
                piece.job.run += piece.count
        if all(job.decoding for job in jobs):
            return
    pytest.fail("a prompt was starved")
