"""What steps and the dial tell the metrics: time, how full, tokens, operations.
Called by the worker, from one thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from troupe.engine.config import ModelConfig
from troupe.engine.flops import Flops
from troupe.engine.metrics import Metrics
from troupe.engine.scheduler import Dial, Scheduler
from troupe.engine.steps import Span

_KEPT = 0.98  # of the smoothed utilisation, each step


class StepMeter:
    """Counts the steps of one engine."""

    def __init__(self, metrics: Metrics, config: ModelConfig) -> None:
        self._metrics = metrics
        self._flops = Flops(config)
        self._peak = 0.0
        self._done = self._possible = 0.0  # operations of late, and what there was time for

    def peak(self, rate: float) -> None:
        """Operations a second that the machine could do at best."""
        self._peak = rate
        self._metrics.peak_flops.set(rate)

    def dial(self, dial: Dial) -> None:
        """Where the dial stands now."""
        target = math.inf if dial.queue_target_s is None else dial.queue_target_s
        self._metrics.step_tokens.set(dial.step_tokens)
        self._metrics.queue_target_seconds.set(target)

    def queues(self, scheduler: Scheduler[Any]) -> None:
        """How many jobs there are."""
        self._metrics.running.set(len(scheduler.running))
        self._metrics.waiting.set(len(scheduler.waiting))
        self._metrics.swapped.set(len(scheduler.swapped))

    def step(self, spans: Sequence[Span], prefill: int, fill: float, seconds: float) -> None:
        """A step of these spans has been run, `prefill` of its rows of prompts, `fill` of the rows
        that it might have had, in so many seconds."""
        metrics, flops = self._metrics, self._flops.of(spans)
        metrics.steps.inc()
        metrics.step_seconds.observe(seconds)
        metrics.batch_fill.observe(min(1.0, fill))
        metrics.computed_tokens.inc(prefill)
        metrics.model_flops.inc(flops)
        self._done = _KEPT * self._done + flops
        self._possible = _KEPT * self._possible + seconds * self._peak
        if self._possible > 0.0:
            metrics.flops_utilisation.set(self._done / self._possible)
