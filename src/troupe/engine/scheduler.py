"""Who runs in the next step: continuous batching as functions of values.

Running decodes come first, one token each, so that streams never stall behind somebody's prompt;
what is left of the step's rows goes to prompts, in chunks, the shortest uncached suffix first, with
ageing. The queue has a limit of length and may have one of time, and beyond them a request is
refused. A dial between latency and cost (rows of a step, time in the queue) can be turned at any
moment. When memory runs out, the youngest running job gives way. Knows no model, no memory and no
clock: the worker says what can be admitted, and who must give way. Called by the worker, from one
thread.
"""

from __future__ import annotations

from bisect import bisect_left, insort_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from troupe.engine.errors import Overloaded

AGEING = 1_000.0  # tokens of prompt that a second of waiting outweighs


class Job(Protocol):
    """What the scheduler needs to know of a sequence."""

    urgency: float  # lower goes first; fixed while the job waits
    seat: int  # the order of first admission, from 1; 0 before it

    @property
    def pending(self) -> int:
        """Tokens known and not yet run; a decode has exactly one."""
        ...

    @property
    def decoding(self) -> bool:
        """Whether its prompt has been run."""
        ...


def urgency(uncached: int, arrived_s: float) -> float:
    """The place of a job with so many tokens to run that arrived at a reading of a clock.

    Shortest first (Schrage 1968), with linear ageing. All age alike, so the order of two jobs never
    changes, and one of n tokens is overtaken by nobody who comes n / `AGEING` seconds after it.
    """
    return uncached + AGEING * arrived_s


@dataclass(frozen=True, slots=True)
class Dial:
    """Between latency and cost. Fewer rows make a step shorter and a token dearer, since a step
    reads all weights however few its rows; a shorter queue answers sooner and refuses more."""

    step_tokens: int = 256  # rows of a step, and so also the most answers worked on at a time
    queue_target_s: float | None = None  # a request that would wait longer is refused


class Admission(Enum):
    """What became of a waiting job that may run."""

    STARTED = auto()
    HELD = auto()  # it waits for another's pages; others may pass it
    NO_ROOM = auto()  # and nobody may pass it, or it might wait for ever


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class Slice(Generic[J]):
    """Run the next `count` pending tokens of a job."""

    job: J
    count: int


def plan(running: Sequence[J], step_tokens: int) -> list[Slice[J]]:
    """The next step of these jobs: decodes in the order given, then prefill by urgency.

    A step has at most `step_tokens` rows, and one more where decodes fill it while there is prefill
    to do: so neither kind ever stands still.
    """
    slices = [Slice(job, 1) for job in running if job.decoding][:step_tokens]
    budget = max(1, step_tokens - len(slices))
    prefills = [job for job in running if not job.decoding]
    prefills.sort(key=lambda job: job.urgency)
    for job in prefills:
        if budget == 0:
            break
        count = min(job.pending, budget)
        slices.append(Slice(job, count))
        budget -= count
    return slices


class Scheduler(Generic[J]):
    """Jobs wait, run, give way, and leave. Each job is in one of the three lists, once."""

    def __init__(self, max_sequences: int, max_waiting: int, dial: Dial) -> None:
        self.max_sequences = max_sequences
        self.max_waiting = max_waiting
        self.dial = dial
        self.waiting: list[J] = []  # by urgency, then by arrival
        self.running: list[J] = []
        self.swapped: list[J] = []  # those that gave way, by seat; nobody is admitted before them
        self._seats = 0

    @property
    def jobs(self) -> list[J]:
        """All of them."""
        return [*self.running, *self.swapped, *self.waiting]

    @property
    def slots(self) -> int:
        """How many jobs may run at a time."""
        return min(self.max_sequences, self.dial.step_tokens)

    def expected_wait(self, service_s: float) -> float:
        """Seconds that one more job would wait, if a job takes so many."""
        ahead = len(self.jobs) + 1 - self.slots
        return max(0.0, ahead / self.slots * service_s)

    def add(self, job: J, wait_s: float) -> None:
        """Queue a job that is expected to wait so long. Raises `Overloaded` if the queue is full,
        or longer than the dial says."""
        target = self.dial.queue_target_s
        if len(self.waiting) >= self.max_waiting:
            why = (
                f"{len(self.waiting)} requests are waiting, and no more than {self.max_waiting} may"
            )
            raise Overloaded(why, _seconds(wait_s))
        if target is not None and wait_s > target:
            why = f"a request would wait about {wait_s:.1f} seconds, and none may over {target:g}"
            raise Overloaded(why, _seconds(wait_s - target))
        insort_right(self.waiting, job, key=lambda one: one.urgency)

    def rejoin(self, job: J) -> None:
        """Queue a job that has begun already: nobody refuses it."""
        insort_right(self.waiting, job, key=lambda one: one.urgency)

    def admit(self, start: Callable[[J], Admission]) -> list[J]:
        """Move jobs to the running ones, as `start` says: those that gave way first, then the most
        urgent."""
        admitted: list[J] = []
        while self.swapped and len(self.running) < self.slots:
            if start(self.swapped[0]) is not Admission.STARTED:
                return admitted
            admitted.append(self.swapped.pop(0))
            self.running.append(admitted[-1])
        place = 0
        while place < len(self.waiting) and len(self.running) < self.slots:
            job = self.waiting[place]
            match start(job):
                case Admission.STARTED:
                    del self.waiting[place]
                    self._seats += 1
                    job.seat = self._seats
                    self.running.append(job)
                    admitted.append(job)
                case Admission.HELD:
                    place += 1
                case Admission.NO_ROOM:
                    break
        return admitted

    def plan(self) -> list[Slice[J]]:
        """The next step. Where a step cannot hold all decodes, they take turns."""
        slices = plan(self.running, self.dial.step_tokens)
        decodes = sum(job.decoding for job in self.running)
        if decodes > self.dial.step_tokens:
            served = [piece.job for piece in slices if piece.job.decoding]
            behind = {id(job) for job in served}
            self.running = [job for job in self.running if id(job) not in behind] + served
        return slices

    def youngest(self) -> J:
        """The running job that was admitted last: the one to give way when room runs out, so that
        the oldest always goes on and some answer always ends."""
        return max(self.running, key=lambda job: job.seat)

    def preempt(self, job: J) -> None:
        """Take a running job out, to go on before all that wait."""
        self.running.remove(job)
        insort_right(self.swapped, job, key=lambda one: one.seat)

    def make_way(
        self,
        slices: Sequence[Slice[J]],
        grow: Callable[[Slice[J]], bool],
        give_way: Callable[[J], None],
    ) -> list[Slice[J]]:
        """Those slices for which `grow` finds room, the oldest jobs served first. When there is
        none, `give_way` must free what the youngest running job holds and `preempt` it: so the
        oldest always goes on. A job that has no room alone is left out."""
        gone: set[int] = set()
        short: set[int] = set()
        for piece in sorted(slices, key=lambda piece: piece.job.seat):
            while id(piece.job) not in gone and not grow(piece):
                if len(self.running) == 1:
                    short.add(id(piece.job))
                    break
                youngest = self.youngest()
                give_way(youngest)
                gone.add(id(youngest))
        return [piece for piece in slices if id(piece.job) not in gone | short]

    def remove(self, job: J) -> None:
        """Forget a job, wherever it is; one that is nowhere is no error."""
        for jobs in (self.running, self.swapped):
            if job in jobs:
                jobs.remove(job)
                return
        place = bisect_left(self.waiting, job.urgency, key=lambda one: one.urgency)
        while place < len(self.waiting) and self.waiting[place].urgency == job.urgency:
            if self.waiting[place] is job:
                del self.waiting[place]
                return
            place += 1


def _seconds(wait_s: float) -> int:
    """As `Retry-After` says it: whole seconds, a minute at most."""
    return max(1, min(60, round(wait_s)))
