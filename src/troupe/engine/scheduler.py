"""Who runs in the next step: continuous batching as a function of values.

Running decodes come first, one token each, so that streams never stall behind somebody's prompt;
what is left of the step's token budget goes to prompts, in chunks, first come first served. The
queue has a limit, and beyond it a request is refused. Knows no model and no memory: the worker
says what can be admitted. Called by the worker, from one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from troupe.engine.errors import Overloaded


class Job(Protocol):
    """What the scheduler needs to know of a sequence."""

    @property
    def pending(self) -> int:
        """Tokens known and not yet run; a decode has exactly one."""
        ...

    @property
    def decoding(self) -> bool:
        """Whether its prompt has been run."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`step_tokens` bounds the rows of a step, and so how long a decode waits for prefill."""

    max_sequences: int = 32
    max_waiting: int = 256
    step_tokens: int = 256


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class Slice(Generic[J]):
    """Run the next `count` pending tokens of a job."""

    job: J
    count: int


class Scheduler(Generic[J]):
    """Jobs wait, run, and leave. Each job is in one of the two queues, once."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting: deque[J] = deque()
        self.running: list[J] = []

    def add(self, job: J, retry_after_s: int) -> None:
        """Queue a job. Raises `Overloaded` if the queue is full."""
        if len(self.waiting) >= self.limits.max_waiting:
            raise Overloaded(len(self.waiting), self.limits.max_waiting, retry_after_s)
        self.waiting.append(job)

    def admit(self, start: Callable[[J], bool]) -> list[J]:
        """Move waiting jobs to the running ones, in order, until `start` says there is no room."""
        admitted: list[J] = []
        while self.waiting and len(self.running) < self.limits.max_sequences:
            if not start(self.waiting[0]):
                break
            job = self.waiting.popleft()
            self.running.append(job)
            admitted.append(job)
        return admitted

    def plan(self) -> list[Slice[J]]:
        """The next step: every decode, then prefill in the order of arrival, within the budget.

        A step always holds at least one token of prefill if there is any, however many decodes run.
        """
        slices = [Slice(job, 1) for job in self.running if job.decoding]
        budget = max(1, self.limits.step_tokens - len(slices))
        for job in self.running:
            if job.decoding or budget == 0:
                continue
            count = min(job.pending, budget)
            slices.append(Slice(job, count))
            budget -= count
        return slices

    def remove(self, job: J) -> None:
        """Forget a job, wherever it is; one that is nowhere is no error."""
        if job in self.running:
            self.running.remove(job)
        elif job in self.waiting:
            self.waiting.remove(job)
