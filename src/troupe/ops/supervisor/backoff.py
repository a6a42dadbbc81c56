"""How long to wait before the next start of something that died. A pure rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays that double, from `first_s` up to `most_s`; a life of `stable_s` begins anew.

    What was fit for traffic before it died is not waited for longer than `most_ready_s`: its start
    works, and people are waiting.
    """

    first_s: float = 0.1
    most_s: float = 30.0
    most_ready_s: float = 2.0
    stable_s: float = 30.0
    deaths: int = 0

    def after(self, lived_s: float, was_ready: bool = False) -> float:
        """Count a death after a life of `lived_s` seconds; the delay before the next start."""
        if lived_s >= self.stable_s:
            self.deaths = 0
        self.deaths += 1
        delay = min(self.first_s * 2.0 ** min(self.deaths - 1, 32), self.most_s)
        if was_ready and delay >= self.most_ready_s:
            self.deaths -= 1  # its start works, so a later failure to start is not the worse for it
            return self.most_ready_s
        return delay
