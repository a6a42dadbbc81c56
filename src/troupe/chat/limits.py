"""How often one client may ask: token buckets, with the clock passed in. Pure."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

KEPT_BUCKETS = 10_000


class Bucket:
    """Allows `rate` a second for long and `burst` at once."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one, if there is one left."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Buckets:
    """A bucket for each user; those not heard of for longest are forgotten, which fills them."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._buckets: OrderedDict[UUID, Bucket] = OrderedDict()

    def take(self, user: UUID, now: float) -> bool:
        """Take one from a user's bucket, if there is one left."""
        bucket = self._buckets.get(user)
        if bucket is None:
            bucket = self._buckets[user] = Bucket(self.rate, self.burst, now)
        self._buckets.move_to_end(user)
        if len(self._buckets) > KEPT_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket.take(now)
