"""Who asks: the session's user, for the routers, and the limits on how often they may write."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie

from troupe.core import throttle
from troupe.core.models import User

READS = frozenset({"GET", "HEAD", "OPTIONS"})


class SignedIn(APIKeyCookie):
    """Guests and accounts; nobody else. Writes are counted."""

    param_name = "troupe_session"

    def __init__(self) -> None:
        super().__init__(csrf=False)  # the middleware checks it, on every route

    def authenticate(self, request: HttpRequest, key: str | None) -> Any | None:  # noqa: ARG002
        """The session's user, or none."""
        found = viewer(request)
        if found is not None and request.method not in READS:
            throttle.spend(throttle.WRITES_BY_USER, "write", str(found.id))
        return found


def viewer(request: HttpRequest) -> User | None:
    """The user who asks, if they have a session. Reads the session only if a cookie names one."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    return request.user if isinstance(request.user, User) else None


def user(request: HttpRequest) -> User:
    """The user who asks, behind `SignedIn`."""
    assert isinstance(request.user, User)
    return request.user


def address(request: HttpRequest) -> str:
    """The address that tries are counted by."""
    return throttle.address_group(request.META.get("REMOTE_ADDR") or "unknown")
