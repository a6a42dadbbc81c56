"""A circuit breaker: leaves a provider alone for a while after it has failed often. Pure.

Closed, it lets all through; after some failures in a row it opens; when its time is up it is half
open and lets one request try. That one closes it, or opens it for twice as long (Nygard, "Release
It!"). The clock is passed in, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """How many failures in a row open the circuit, and for how long."""

    failures: int = 5
    open_s: float = 5.0
    longest_open_s: float = 60.0


class Breaker:
    """The state of one provider's circuit."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy = policy or BreakerPolicy()
        self._failures = 0
        self._open_s = self._policy.open_s
        self._until: float | None = None  # open until then
        self._trying = False  # half open, and a request is on its way

    def state(self, now: float) -> State:
        """Where the circuit stands."""
        if self._until is None:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN

    def wait(self, now: float) -> float:
        """Seconds until a request may go; 0 means now, and then `begin` must be called."""
        match self.state(now):
            case State.CLOSED:
                return 0.0
            case State.OPEN:
                assert self._until is not None
                return self._until - now
            case State.HALF_OPEN:
                # Someone else is trying: a little later it will be known how that went.
                return min(1.0, self._open_s) if self._trying else 0.0

    def begin(self, now: float) -> None:
        """A request goes out."""
        if self.state(now) is State.HALF_OPEN:
            self._trying = True

    def succeeded(self) -> None:
        """The provider answered."""
        self._failures = 0
        self._open_s = self._policy.open_s
        self._until = None
        self._trying = False

    def failed(self, now: float) -> None:
        """The provider failed."""
        if self.state(now) is State.OPEN:
            return  # sent before it opened: nothing new
        half_open = self.state(now) is State.HALF_OPEN
        self._failures += 1
        self._trying = False
        if half_open:
            self._open_s = min(2 * self._open_s, self._policy.longest_open_s)
        if half_open or self._failures >= self._policy.failures:
            self._until = now + self._open_s

    def abandoned(self) -> None:
        """The request was given up by its caller: it says nothing about the provider."""
        self._trying = False
