"""A circuit breaker: after several failures in a row a provider is left alone for a while. Pure.

Closed: calls pass. Open: none passes until `cooldown_s` is over. Half open: one call passes, and
its outcome closes or opens the circuit again. (M. Nygard, "Release It!", chapter 5.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Circuit(StrEnum):
    """The state of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class Breaker:
    """Times are seconds of any monotonic clock, passed in."""

    threshold: int = 5
    cooldown_s: float = 5.0
    failures: int = 0
    opened_at: float | None = None
    probing: bool = False

    def state(self, now: float) -> Circuit:
        """Where the circuit stands."""
        if self.opened_at is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.opened_at + self.cooldown_s else Circuit.HALF_OPEN

    def admit(self, now: float) -> bool:
        """Whether a call may pass. One that may must end in `succeeded`, `failed` or `left`."""
        state = self.state(now)
        if state is Circuit.HALF_OPEN and not self.probing:
            self.probing = True
            return True
        return state is Circuit.CLOSED

    def wait_s(self, now: float) -> float:
        """How long until a call may pass."""
        if self.opened_at is None:
            return 0.0
        return max(0.0, self.opened_at + self.cooldown_s - now)

    def succeeded(self) -> None:
        """The provider answered."""
        self.failures, self.opened_at, self.probing = 0, None, False

    def failed(self, now: float) -> None:
        """The provider did not answer as it should."""
        self.failures += 1
        if self.probing or self.failures >= self.threshold:
            self.opened_at = now
        self.probing = False

    def left(self) -> None:
        """The caller went away before anything was known."""
        self.probing = False
