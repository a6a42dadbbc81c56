"""Making and revoking API keys."""

from __future__ import annotations

import hashlib
import secrets

from django.db import transaction
from django.utils import timezone

from troupe.core import limits
from troupe.core.errors import AccountNeeded, Conflict
from troupe.core.models import ApiKey, User

from .audit import record

PREFIX = "tr_"


def create(user: User, name: str) -> tuple[ApiKey, str]:
    """A key and its secret, which is nowhere kept and so cannot be told again.

    Raises `AccountNeeded` for guests, `Conflict` at the limit on their number.
    """
    if user.guest:
        raise AccountNeeded("Register to make API keys.")
    secret = PREFIX + secrets.token_urlsafe(32)
    return keep(user, name, secret), secret


def keep(user: User, name: str, secret: str) -> ApiKey:
    """Accept a key that was made elsewhere. Keeping one twice changes nothing."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    with transaction.atomic():
        found = ApiKey.objects.filter(sha256=digest).first()
        if found is not None:
            return found
        if ApiKey.objects.filter(user=user, revoked_at=None).count() >= limits.KEYS_A_USER:
            raise Conflict(
                f"You have {limits.KEYS_A_USER} keys, which is the most; revoke one first."
            )
        key = ApiKey(user=user, name=name, sha256=digest, **_shown(secret))
        key.save(force_insert=True)
        record(user, "key.create", key.id)
    return key


def _shown(secret: str) -> dict[str, str]:
    """What of a key may be shown later: the ends of a long one, the first letters of a short."""
    if len(secret) < 24:
        return {"prefix": secret[: len(secret) // 4], "last4": ""}
    return {"prefix": secret[:7], "last4": secret[-4:]}


def revoke(key: ApiKey, by: User) -> None:
    """From now on the key opens nothing (chat may remember it for some seconds)."""
    key.revoked_at = timezone.now()
    with transaction.atomic():
        key.save(update_fields=["revoked_at"])
        record(by, "key.revoke", key.id)
