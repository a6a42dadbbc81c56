"""The short-lived signed token with which core vouches for a user to chat.

Core signs it, chat checks it; neither needs the other's code or database. A JSON Web Token
(RFC 7519), HS256, audience `chat`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

import jwt

AUDIENCE = "chat"
LIFETIME_S = 600


class TokenError(Exception):
    """The token is malformed, expired, or signed with another key."""


@dataclass(frozen=True, slots=True)
class ChatToken:
    """Who the bearer is. `expires_at` is in Unix seconds."""

    user_id: UUID
    name: str
    guest: bool
    expires_at: int


def sign(secret: str, user_id: UUID, name: str, guest: bool, now: float | None = None) -> str:
    """Sign a token for a user, good for `LIFETIME_S` seconds."""
    expires_at = int(now if now is not None else time.time()) + LIFETIME_S
    claims = {"sub": str(user_id), "name": name, "guest": guest, "exp": expires_at}
    return jwt.encode({**claims, "aud": AUDIENCE}, secret, algorithm="HS256")


def verify(secret: str, token: str) -> ChatToken:
    """Check a token and say whose it is. Raises `TokenError`."""
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            audience=AUDIENCE,
            options={"require": ["sub", "exp", "aud"]},
        )
        return ChatToken(
            user_id=UUID(claims["sub"]),
            name=str(claims.get("name", "")),
            guest=bool(claims.get("guest", False)),
            expires_at=int(claims["exp"]),
        )
    except (jwt.InvalidTokenError, ValueError) as error:
        raise TokenError(str(error)) from error
