"""Guests, registration, passwords, sessions."""

from __future__ import annotations

import secrets

from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from troupe.core import text
from troupe.core.errors import Conflict, Invalid, WrongPassword
from troupe.core.models import User

from .audit import record

_BACKEND = "django.contrib.auth.backends.ModelBackend"
_RENEWED = "renewed"  # the day on which the session's end was last set
_GUEST_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def create_guest() -> User:
    """A user without a password, known only by their session."""
    name = text.GUEST_PREFIX + "".join(secrets.choice(_GUEST_LETTERS) for _ in range(12))
    user = User(name=name, display_name="Guest", guest=True, password=make_password(None))
    with transaction.atomic():
        user.save(force_insert=True)
        record(user, "user.guest", user.id)
    return user


def register(guest: User | None, name: str, email: str | None, password: str) -> User:
    """A new account; of the guest, if one is given, who keeps their id and so all that is theirs.

    Raises `Invalid` for a name, address or password that cannot be used, `Conflict` for one that
    is taken.
    """
    _check_name(name)
    _check_email(email)
    user = guest or User()
    user.name, user.display_name, user.email, user.guest = name, name, email or None, False
    _set_password(user, password, "password")
    try:
        with transaction.atomic():
            user.save(force_insert=guest is None, force_update=guest is not None)
            record(user, "user.register", user.id, was_guest=guest is not None)
    except IntegrityError as error:
        raise _taken(error, name) from error
    return user


def create_staff(name: str, display_name: str, password: str | None) -> User:
    """A user of the platform's own. With a password it is an administrator; without, none can sign
    in as it."""
    admin = password is not None
    user = User(name=name, display_name=display_name, is_staff=admin, is_superuser=admin)
    user.set_password(password)
    with transaction.atomic():
        user.save(force_insert=True)
        record(None, "user.create", user.id, name=name)
    return user


def reset_password(user: User, password: str) -> None:
    """Set a password without the old one; every session of the user ends."""
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        record(None, "user.password", user.id)


def change_password(request: HttpRequest, user: User, old: str, new: str) -> None:
    """Set a new password; every other session of the user ends. Raises `WrongPassword`."""
    if not user.check_password(old):
        raise WrongPassword("The old password is not right.", {"old": "not right"})
    _set_password(user, new, "new")
    with transaction.atomic():
        user.save(update_fields=["password"])
        update_session_auth_hash(request, user)
        record(user, "user.password", user.id)


def check_password(request: HttpRequest, name: str, password: str) -> User:
    """The user with this name and password. Raises `WrongPassword`."""
    user = authenticate(request, username=name, password=password)
    if not isinstance(user, User):
        raise WrongPassword("There is no account with this name and password.")
    return user


def sign_in(request: HttpRequest, user: User) -> None:
    """Begin a session of this user's in the browser that asks."""
    with transaction.atomic():
        login(request, user, backend=_BACKEND)
        request.session[_RENEWED] = _today()
        record(user, "session.start", user.id)


def renew_session(request: HttpRequest) -> None:
    """Let a session that is in use last longer; written once a day, however often it is asked."""
    if request.session.get(_RENEWED) != _today():
        request.session[_RENEWED] = _today()


def sign_out(request: HttpRequest) -> None:
    """End the session of the browser that asks."""
    user = request.user
    with transaction.atomic():
        logout(request)
        if isinstance(user, User):
            record(user, "session.end", user.id)


def _today() -> str:
    return timezone.now().date().isoformat()


def _check_name(name: str) -> None:
    if text.USER_NAME.fullmatch(name) is None:
        raise Invalid(
            "name", "use letters, digits, and . _ - between them, for example river.stone"
        )
    if name.lower().startswith(text.GUEST_PREFIX):
        raise Invalid("name", f"names that begin with {text.GUEST_PREFIX} are for guests")


def _check_email(email: str | None) -> None:
    if not email:
        return
    try:
        validate_email(email)
    except ValidationError as error:
        raise Invalid("email", "is not an email address") from error


def _set_password(user: User, password: str, field: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(field, " ".join(error.messages)) from error
    user.set_password(password)


def _taken(error: IntegrityError, name: str) -> Conflict:
    if "email" in str(error):
        message = "is used by another account"
        return Conflict(f"This email address {message}.", {"email": message})
    return Conflict(f"The name {name} is taken; choose another.", {"name": "is taken"})
