"""The one thread that computes: it admits, steps, draws, delivers, and puts pages away.

Everything else in the engine waits for nothing but a short lock. The thread loads the model
itself, because a thread's number of computing threads is its own. An error in a step ends the
generations in that step and no others. Called by `engine.py`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from troupe.engine.backends import loaded
from troupe.engine.config import ModelConfig
from troupe.engine.cuts import NO_TOKEN
from troupe.engine.errors import EngineError, EngineStopped
from troupe.engine.generation import Generation, with_guesses
from troupe.engine.inflight import waits_for
from troupe.engine.kv import check
from troupe.engine.lookup import Pace
from troupe.engine.memory import Memory
from troupe.engine.meter import StepMeter
from troupe.engine.metrics import Metrics
from troupe.engine.sampler import Drawn, draw
from troupe.engine.scheduler import Admission, Dial, Scheduler, Slice, urgency
from troupe.engine.steps import AnyBackend, Arena, Floats, StepModel
from troupe.engine.types import Chunk, EngineOptions, FinishReason

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed", "stopped"]
_ASSUMED_SERVICE_S = 2.0  # of a generation, until some have been measured


class Worker:
    """Owns the model, the arena and the cache, and one thread."""

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        context: int,
        backend: AnyBackend,
        options: EngineOptions,
        metrics: Metrics,
    ) -> None:
        """`context`: the longest sequence, in tokens."""
        self._folder, self._context, self._options = folder, context, options
        self._metrics = metrics
        self._meter = StepMeter(metrics, config)
        self._backend = backend
        try:
            self._memory = Memory(folder, config, context, backend, options, metrics)
        except (MemoryError, OSError, RuntimeError) as error:  # numpy's, the system's, torch's
            raise EngineError(f"memory for keys and values cannot be had: {error}") from error
        self.cache = self._memory.cache
        self._scheduler: Scheduler[Generation] = Scheduler(
            options.max_sequences,
            options.max_waiting,
            Dial(options.step_tokens, options.queue_target_s),
        )
        self._changed = threading.Condition()  # guards the scheduler, `state` and `_stopping`
        self._stopping = False
        self._pace = Pace()
        self._delivered: set[Callable[[], None]] = set()  # who is to be woken
        self._unstarted: list[tuple[list[Generation], str, Exception]] = []  # to be ended
        self._service_s = _ASSUMED_SERVICE_S
        self.state: State = "loading"
        self.why_not = "the model is being loaded"
        self._meter.dial(self._scheduler.dial)
        self._thread = threading.Thread(target=self._run, name="troupe-engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, generation: Generation) -> None:
        """Queue a generation. Raises `Overloaded`, or `EngineStopped` if it can never run."""
        held = self.cache.estimate(generation.salt, generation.prompt)
        with self._changed:
            if self._stopping or self.state == "failed":
                raise EngineStopped(self.why_not)
            uncached = len(generation.prompt) - held
            generation.urgency = urgency(uncached, generation.times.submitted)
            try:
                self._scheduler.add(generation, self._scheduler.expected_wait(self._service_s))
            except EngineError:
                self._metrics.refused.inc()
                raise
            self._changed.notify()

    def cancel(self, generations: Sequence[Generation]) -> None:
        """Ask generations to end; what they computed is kept for later prompts."""
        with self._changed:
            for generation in generations:
                generation.cancelled = True
            self._changed.notify()

    def wait_loaded(self, timeout_s: float | None = None) -> State:
        """Block until loading has ended, one way or the other."""
        with self._changed:
            self._changed.wait_for(lambda: self.state != "loading", timeout_s)
            return self.state

    def stop(self) -> None:
        """End what runs with `EngineStopped`, and the thread. Returns at once."""
        with self._changed:
            self._stopping = True
            self.why_not = "the engine is shutting down"
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread to end."""
        if self._thread.is_alive():
            self._thread.join()

    def wait_idle(self) -> None:
        """Block until nothing runs or waits."""
        with self._changed:
            self._changed.wait_for(lambda: not self._scheduler.jobs)

    def check(self) -> None:
        """Assert that pages are conserved and no lock is left. Only while idle."""
        with self._changed:
            leases = {g.lease for g in self._scheduler.jobs if g.lease is not None}
            assert self.cache.leases == leases, "a lease without a generation"
            check(self.cache)

    @property
    def dial(self) -> Dial:
        """How the dial between latency and cost stands."""
        return self._scheduler.dial

    def turn(self, dial: Dial) -> None:
        """Turn the dial; the next step heeds it."""
        with self._changed:
            self._scheduler.dial = dial
            self._meter.dial(dial)
            self._changed.notify()

    def _run(self) -> None:
        try:
            model = self._load()
            self._memory.restore()
            self._set_state("ready", "")
            while True:
                with self._changed:
                    busy = self._changed.wait_for(self._has_work, self._memory.audit_after_s)
                    if self._stopping:
                        break
                    self._end_cancelled()
                    self._scheduler.admit(self._start)
                    while self._unstarted:
                        self._fail(*self._unstarted.pop())
                    slices = self._scheduler.plan()
                    self._count()
                if not busy:
                    self._memory.audit(self._has_work)
                elif slices:
                    self._step(model, with_guesses(slices, self._pace, self.dial.step_tokens))
                self._wake()
        except Exception as error:
            log.exception("engine worker failed")
            self._set_state("failed", f"the engine failed: {error}")
        finally:
            self._end_all(EngineStopped(self.why_not))
            self._memory.close(keep=self.state == "ready")
            if self.state != "failed":
                self._set_state("stopped", "the engine has stopped")

    def _load(self) -> StepModel[Arena]:
        threads = self._options.threads or os.cpu_count() or 1
        self._meter.peak(self._options.peak_flops or self._backend.rate(threads))
        return loaded(self._backend, self._folder, self._context, threads)

    def _set_state(self, state: State, why_not: str) -> None:
        with self._changed:
            self.state, self.why_not = state, why_not
            self._metrics.ready.set(state == "ready")
            self._changed.notify_all()

    def _has_work(self) -> bool:
        return self._stopping or bool(self._scheduler.jobs)

    def _start(self, job: Generation) -> Admission:
        """Lease pages for what a waiting generation has so far; it gets more as it grows."""
        if not job.seat and self._waits(job):
            return Admission.HELD
        try:
            lease = self.cache.lease(job.salt, job.tokens, len(job.tokens))
        except Exception as error:
            self._unstarted.append(([job], "the answer could not begin", error))
            return Admission.HELD
        if lease is None:
            return Admission.NO_ROOM
        self._metrics.rerun_tokens.inc(job.begin(lease))
        job.adopt(self._memory)
        if not job.times.admitted:
            job.times.admitted = time.monotonic()
            self._metrics.prompt_tokens.inc(len(job.prompt))
            for tier, count in lease.cached_by_tier.items():
                self._metrics.cached_tokens.labels(tier).inc(count)
            self._metrics.queue_seconds.observe(job.times.admitted - job.times.submitted)
        return Admission.STARTED

    def _waits(self, job: Generation) -> bool:
        """Whether another is running the rows that this one would begin with."""
        before = job.wait
        job.wait = waits_for(job, before, self._scheduler.running, self.cache.longest_match)
        self._metrics.shared_prefills.inc(job.wait is not None and job.wait is not before)
        return job.wait is not None

    def _step(self, model: StepModel[Arena], slices: Sequence[Slice[Generation]]) -> None:
        slices = self._with_room(slices)
        if not slices:
            return
        started = time.monotonic()
        worked = time.thread_time()  # what others do on this machine does not count
        spans = [piece.job.span(piece.count) for piece in slices]
        try:
            logits = model.step(spans, self._memory.arena)
        except Exception as error:
            self._fail([piece.job for piece in slices], "the inference step failed", error)
            return
        rows = sum(piece.count for piece in slices)
        prefill = sum(piece.count for piece in slices if not piece.job.decoding)
        self._meter.step(spans, prefill, rows / self.dial.step_tokens, time.monotonic() - started)
        drawing: list[tuple[Generation, int]] = []  # and its row of logits
        row = 0
        for piece in slices:
            job = piece.job
            job.computed += piece.count - len(job.draft)
            assert job.lease is not None
            self.cache.share(job.lease, job.tokens, job.computed)  # for others to find
            if job.pending:
                continue
            drawing += [(one, row) for one in job.candidates()]
            row += 1 + len(job.draft)
            self._metrics.guessed_tokens.inc(len(job.draft))
        while drawing:
            drawing = self._draw(drawing, logits)
        if row == rows:
            self._pace.observe(rows, time.thread_time() - worked)

    def _draw(
        self, drawing: Sequence[tuple[Generation, int]], logits: Floats
    ) -> list[tuple[Generation, int]]:
        """Draw and deliver a token for each. Returns those whose next row is to be drawn from too,
        since its token was guessed right."""
        wanted = [row for _, row in drawing]
        if wanted != list(range(len(logits))):
            logits = logits[wanted]
        going: list[tuple[Generation, int]] = []
        try:
            drawn = draw(logits, [job.sampler for job, _ in drawing])
        except Exception as error:
            self._fail([job for job, _ in drawing], "tokens could not be drawn", error)
            return []
        for (job, row), one in zip(drawing, drawn, strict=True):
            if one.token == NO_TOKEN:  # this answer's fault alone
                why = f"a token could not be drawn: {job.sampler.fault}"
                log.error(why, extra={"request_id": job.request.request_id})
                self._end(job, EngineStopped(why), "failed")
                continue
            guessed = job.draft[:1] == [one.token]
            job.draft = job.draft[1:] if guessed else []
            if guessed:
                self._metrics.guessed_right.inc()
            try:
                more = self._take(job, one)
            except Exception as error:
                self._fail([job], "a token could not be delivered", error)
                continue
            if more and guessed:
                job.computed += 1  # its row has been run already
                going.append((job, row + 1))
        return going

    def _with_room(self, slices: Sequence[Slice[Generation]]) -> list[Slice[Generation]]:
        """Those slices that have pages to write to. When there are no more, the youngest generation
        gives way: what it computed is kept, in a farther tier if there is one, and it goes on later
        where it stopped."""
        served = self._scheduler.make_way(slices, self._grow, self._give_way)
        if not served and slices and slices[0].job.lease is not None:  # the options rule this out
            why = "there is no room for this answer's keys and values"
            self._end(slices[0].job, EngineStopped(why), "failed")
        return [Slice(piece.job, _rows(piece)) for piece in served]

    def _grow(self, piece: Slice[Generation]) -> bool:
        job = piece.job
        assert job.lease is not None
        while not self.cache.grow(job.lease, job.computed, job.computed + _rows(piece)):
            if not job.draft:
                return False
            job.draft = []  # nobody gives way to a guess
        return True

    def _give_way(self, job: Generation) -> None:
        assert job.lease is not None
        self.cache.release(job.lease, job.tokens, job.computed)
        job.lease = None
        with self._changed:
            self._scheduler.preempt(job)
        self._metrics.preempted.inc()

    def _take(self, job: Generation, drawn: Drawn) -> bool:
        """Deliver what a drawn token brings. Returns whether the answer goes on."""
        now = time.monotonic()
        if not job.times.first_token:
            job.times.first_token = now
            self._metrics.first_token_seconds.observe(now - job.times.submitted)
        self._metrics.generated_tokens.inc()
        text, reason = job.take(drawn.token)
        told = () if drawn.logprob is None else (drawn.logprob,)
        chunk = Chunk((drawn.token,), text, index=job.candidate, logprobs=told)
        if reason is not None:
            last = replace(chunk, finish_reason=reason, usage=job.usage(now), prefix=job.left)
            self._end(job, last, reason)
            return False
        self._deliver(job, chunk)
        if job.lease is None:
            with self._changed:
                self._scheduler.rejoin(job)
        return True

    def _end(
        self, job: Generation, last: Chunk | Exception, outcome: FinishReason | Literal["failed"]
    ) -> None:
        """Take a generation out, keep its pages for later prompts, and say its last word."""
        with self._changed:
            self._scheduler.remove(job)
            job.followers = []  # a request's first candidate speaks for those that never began
            if job.lease is not None:
                self.cache.release(job.lease, job.tokens, job.computed)
                job.lease = None
            self._count()
            self._changed.notify_all()
        self._metrics.requests.labels(outcome).inc()
        now = time.monotonic()
        answered = len(job.tokens) - len(job.request.prompt)
        if answered > 1:
            self._metrics.token_seconds.observe((now - job.times.first_token) / (answered - 1))
        if outcome in ("stop", "length"):
            self._service_s += 0.1 * (now - job.times.admitted - self._service_s)
        self._deliver(job, last)

    def _deliver(self, job: Generation, item: Chunk | Exception) -> None:
        """Readers are woken once for all that a step brings, when it is done."""
        job.deliver(item)
        self._delivered.add(job.wake)

    def _wake(self) -> None:
        while self._delivered:
            self._delivered.pop()()

    def _fail(self, jobs: Sequence[Generation], what: str, error: Exception) -> None:
        """End these and no others."""
        log.error(what, exc_info=error)
        for job in jobs:
            self._end(job, EngineStopped(f"{what}: {error}"), "failed")

    def _end_cancelled(self) -> None:
        for job in self._scheduler.jobs:
            if job.cancelled:
                last = Chunk((), "", "cancelled", job.usage(time.monotonic()), index=job.candidate)
                self._end(job, last, "cancelled")

    def _end_all(self, error: Exception) -> None:
        with self._changed:
            jobs = self._scheduler.jobs
        for job in jobs:
            self._end(job, error, "failed")
        self._wake()

    def _count(self) -> None:
        self._meter.queues(self._scheduler)
        self._memory.count()


def _rows(piece: Slice[Generation]) -> int:
    """Tokens of a slice, with what is left of its guesses."""
    return 1 + len(piece.job.draft) if piece.job.decoding else piece.count
