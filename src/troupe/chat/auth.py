"""Who is asking: a chat token on a socket or in an Authorization header, checked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from troupe.tokens import TokenError, verify

from .errors import Expired, Unauthorized


@dataclass(frozen=True, slots=True)
class Viewer:
    """A user whom core vouched for. `expires_at` is in Unix seconds."""

    user_id: UUID
    name: str
    guest: bool
    expires_at: float

    @property
    def speaker(self) -> str:
        """How the user is named in a chat."""
        return f"user:{self.user_id}"

    def check(self) -> None:
        """Raises `Expired` when the token's time is over."""
        if time.time() >= self.expires_at:
            raise Expired


def viewer_of(secret: str, token: str) -> Viewer:
    """The bearer of a token. Raises `Unauthorized` or `Expired`."""
    try:
        claims = verify(secret, token)
    except TokenError as error:
        if "expired" in str(error).lower():
            raise Expired from error
        raise Unauthorized("This chat token is not good here. Fetch a new one.") from error
    return Viewer(claims.user_id, claims.name or "You", claims.guest, claims.expires_at)


def bearer(header: str | None) -> str:
    """The token of an Authorization header. Raises `Unauthorized`."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized
    return token.strip()
