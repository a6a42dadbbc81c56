"""How often a stranger may try: sign-in by address and account, and every write by user.

Counted in this process (`limits`, in memory). Called by the API, before anything is done.
"""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from .errors import TooMany

LOGIN_BY_ADDRESS = parse("60/5minutes")
LOGIN_BY_ACCOUNT = parse("10/5minutes")
REGISTER_BY_ADDRESS = parse("60/hour")
GUEST_BY_ADDRESS = parse("120/5minutes")
WRITES_BY_USER = parse("240/minute")
UPLOADS_BY_USER = parse("60/minute")

_storage = MemoryStorage()
_limiter = MovingWindowRateLimiter(_storage)


def spend(limit: RateLimitItem, name: str, *who: str) -> None:
    """Count one try of `name` by `who`. Raises `TooMany` when the limit is used up."""
    if _limiter.hit(limit, name, *who):
        return
    reset = _limiter.get_window_stats(limit, name, *who).reset_time
    wait = max(1, math.ceil(reset - time.time()))
    raise TooMany(f"Too many tries. Try again in {wait} seconds.", wait)


def forget() -> None:
    """Forget every count."""
    _storage.reset()


def address_group(address: str) -> str:
    """What counts as one address: all of an IPv4 one, the first 64 bits of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
