"""Secrets that Troupe makes for itself at the first start, kept where only their owner reads."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass

from pydantic import SecretStr

from troupe.ops.home import Home, write_private
from troupe.settings import Settings

ADMIN_PASSWORD = "admin_password"  # noqa: S105 - a file's name
SECRET_KEY = "secret_key"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class AdminPassword:
    """The administrator's first password. `fresh` if it was made just now, to be shown once."""

    value: str
    fresh: bool


def secret_key(settings: Settings, home: Home) -> str:
    """The key that signs sessions: the one given, the one kept, or a new one, then kept."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    return kept(home, SECRET_KEY) or _make(home, SECRET_KEY, random.token_urlsafe(48))


def admin_password(settings: Settings, home: Home) -> AdminPassword:
    """The administrator's password for a first start: given, kept, or a new one, then kept."""
    if settings.admin_password is not None:
        return AdminPassword(settings.admin_password.get_secret_value(), fresh=False)
    if (found := kept(home, ADMIN_PASSWORD)) is not None:
        return AdminPassword(found, fresh=False)
    return AdminPassword(_make(home, ADMIN_PASSWORD, new_password()), fresh=True)


def new_password() -> str:
    """Four groups of four, easy to type, of 80 bits (Crockford's base 32)."""
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    groups = ("".join(random.choice(alphabet) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def keep_admin_password(home: Home, password: str | None) -> None:
    """Keep a password that was generated; None forgets the one kept, which no longer holds."""
    if password is not None:
        _make(home, ADMIN_PASSWORD, password)
    else:
        (home.secrets / ADMIN_PASSWORD).unlink(missing_ok=True)


def kept(home: Home, name: str) -> str | None:
    """A secret that was kept, if there is one."""
    try:
        return (home.secrets / name).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def with_secret_key(settings: Settings, home: Home) -> Settings:
    """Settings that hold the secret key."""
    return settings.model_copy(update={"secret_key": SecretStr(secret_key(settings, home))})


def _make(home: Home, name: str, value: str) -> str:
    write_private(home.secrets / name, value + "\n")
    return value
