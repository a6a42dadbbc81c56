"""When to ask again, and after how long: only before the first token, with jitter. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from troupe.gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Doubling pauses with full jitter, while `patience_s` lasts."""

    attempts: int = 3
    first_pause_s: float = 0.25
    longest_pause_s: float = 2.0
    patience_s: float = 5.0

    def pause(self, error: GatewayError, attempt: int, waited: float) -> float | None:
        """Seconds to wait before asking again, or None to give up.

        `attempt` counts from 1; `waited` is the time spent in pauses so far. A provider that said
        when to come back is not asked earlier.
        """
        if not error.transient or attempt >= self.attempts:
            return None
        longest = min(self.longest_pause_s, self.first_pause_s * 2.0 ** (attempt - 1))
        pause = max(random.uniform(longest / 2, longest), error.retry_after or 0.0)
        return pause if waited + pause <= self.patience_s else None
