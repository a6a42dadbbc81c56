"""Sessions: guests, sign-in, registration, passwords, and the token for the chat service."""

from __future__ import annotations

import hashlib
import time

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import get_token
from ninja import Router
from ninja.responses import Status

from troupe import tokens
from troupe.core import throttle
from troupe.core.actions import accounts
from troupe.core.errors import Conflict
from troupe.core.models import User

from . import asking, bodies, views

router = Router(tags=["session"])


def _view(request: HttpRequest, user: User | None) -> views.SessionView:
    shown = views.account(user) if user is not None else None
    return views.SessionView(user=shown, csrf=get_token(request))


@router.get("/session", operation_id="get_session", response=views.SessionView)
def get_session(request: HttpRequest) -> views.SessionView:
    """Who is signed in, and the token that every write must carry as X-CSRFToken."""
    return _view(request, asking.viewer(request))


@router.post("/session/guest", operation_id="begin_as_guest", response=views.SessionView)
def begin_as_guest(request: HttpRequest) -> views.SessionView:
    """Begin a session as a new guest. Whoever has a session already keeps it."""
    user = asking.viewer(request)
    if user is None:
        throttle.spend(throttle.GUEST_BY_ADDRESS, "guest", asking.address(request))
        user = accounts.create_guest()
        accounts.sign_in(request, user)
    return _view(request, user)


@router.post("/session/login", operation_id="log_in", response=views.SessionView)
def log_in(request: HttpRequest, body: bodies.Login) -> views.SessionView:
    """Begin a session of an account. Tries are counted by address and by account."""
    account = hashlib.sha256(body.name.lower().encode()).hexdigest()
    throttle.spend(throttle.LOGIN_BY_ADDRESS, "login", asking.address(request))
    throttle.spend(throttle.LOGIN_BY_ACCOUNT, "login", account)
    user = accounts.check_password(request, body.name, body.password)
    accounts.sign_in(request, user)
    return _view(request, user)


@router.post("/session/register", operation_id="register", response={201: views.SessionView})
def register(request: HttpRequest, body: bodies.Register) -> Status[views.SessionView]:
    """Make an account. A guest becomes it, and keeps characters, personas and chats."""
    throttle.spend(throttle.REGISTER_BY_ADDRESS, "register", asking.address(request))
    guest = asking.viewer(request)
    if guest is not None and not guest.guest:
        raise Conflict("You are signed in with an account already; sign out first.")
    user = accounts.register(guest, body.name, body.email, body.password)
    accounts.sign_in(request, user)
    return Status(201, _view(request, user))


@router.post("/session/logout", operation_id="log_out", response=views.SessionView)
def log_out(request: HttpRequest) -> views.SessionView:
    """End the session. A guest who has not registered cannot come back to it."""
    if asking.viewer(request) is not None:
        accounts.sign_out(request)
    return _view(request, None)


@router.post(
    "/session/password",
    operation_id="change_password",
    response=views.SessionView,
    auth=asking.SignedIn(),
)
def change_password(request: HttpRequest, body: bodies.PasswordChange) -> views.SessionView:
    """Set a new password. Every other session of the account ends."""
    user = asking.user(request)
    throttle.spend(throttle.LOGIN_BY_ACCOUNT, "password", str(user.id))
    accounts.change_password(request, user, body.old, body.new)
    return _view(request, user)


@router.post(
    "/chat-token",
    operation_id="make_chat_token",
    response=views.ChatTokenView,
    auth=asking.SignedIn(),
)
def make_chat_token(request: HttpRequest) -> views.ChatTokenView:
    """A short-lived token that tells the chat service who the user is. Keeps the session alive."""
    user = asking.user(request)
    accounts.renew_session(request)
    now = time.time()
    token = tokens.sign(settings.SECRET_KEY, user.id, user.display_name, user.guest, now)
    return views.ChatTokenView(token=token, expires_at=int(now) + tokens.LIFETIME_S)
