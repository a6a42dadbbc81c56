"""The administrator's password, for `troupe admin-password`."""

from __future__ import annotations

from troupe.ops import database, secrets
from troupe.ops.errors import OpsError
from troupe.ops.home import Home
from troupe.settings import Settings


def generate_password(settings: Settings) -> str:
    """Give the user `admin` a password of our making, kept in the home folder."""
    password = secrets.new_password()
    _set(settings, password)
    secrets.keep_admin_password(Home(settings.root), password)
    return password


def set_password(settings: Settings, password: str) -> None:
    """Give the user `admin` this password, and forget the one kept. Raises `OpsError`."""
    if not password:
        raise OpsError("the password is empty", "Type one, or use --generate")
    _set(settings, password)
    secrets.keep_admin_password(Home(settings.root), None)


def _set(settings: Settings, password: str) -> None:
    with database.at_hand(settings) as complete:
        from troupe.core.bootstrap import set_admin_password

        set_admin_password(complete, password)
