"""Who may do what: every endpoint, for everybody. An endpoint without a row here fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.core import PASSWORD, Browser, error_of, in_database
from troupe.core import openapi
from troupe.settings import Settings

ROLES = ("anonymous", "guest", "owner", "other", "admin")
Browsers = Callable[[], Browser]


@dataclass(frozen=True)
class Row:
    """An endpoint, and the status that each role gets, in the order of `ROLES`.

    `{public}`, `{private}`, `{persona}` and `{key}` are things of the owner's.
    """

    name: str
    statuses: tuple[int, int, int, int, int]
    path: str
    json: Any = None
    files: dict[str, Any] = field(default_factory=dict)


EVERYBODY = (200, 200, 200, 200, 200)
SIGNED_IN = (401, 200, 200, 200, 200)
MAKES = (401, 201, 201, 201, 201)
OWNER = (401, 404, 200, 404, 404)
OWNER_204 = (401, 404, 204, 404, 404)
LOGIN = {"name": "owner", "password": PASSWORD}
CARD = {"file": ("card.json", b'{"name": "Ann", "first_mes": "Hm."}')}
PIXEL = bytes.fromhex(
    "47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b"
)
NEW = {"old": PASSWORD, "new": "another good horse"}

ROWS = [
    Row("get_session", EVERYBODY, "/session"),
    Row("begin_as_guest", EVERYBODY, "/session/guest"),
    Row("log_in", EVERYBODY, "/session/login", LOGIN),
    Row("register", (201, 201, 409, 409, 409), "/session/register", {**LOGIN, "name": "{new}"}),
    Row("log_out", EVERYBODY, "/session/logout"),
    Row("change_password", (401, 401, 200, 200, 200), "/session/password", NEW),
    Row("make_chat_token", SIGNED_IN, "/chat-token"),
    Row("list_characters", EVERYBODY, "/characters"),
    Row("list_characters", SIGNED_IN, "/characters?owner=me"),
    Row("create_character", MAKES, "/characters", {"name": "Ann"}),
    Row(
        "create_character",
        (401, 403, 201, 201, 201),
        "/characters",
        {"name": "Ann", "visibility": "public"},
    ),
    Row("get_character", EVERYBODY, "/characters/{public}"),
    Row("get_character", (404, 404, 200, 404, 404), "/characters/{private}"),
    Row("change_character", OWNER, "/characters/{public}", {"tagline": "Changed"}),
    Row("change_character", OWNER, "/characters/{private}", {"tagline": "Changed"}),
    Row("delete_character", OWNER_204, "/characters/{public}"),
    Row("delete_character", OWNER_204, "/characters/{private}"),
    Row("set_avatar", OWNER, "/characters/{public}/avatar", files={"file": ("x.gif", PIXEL)}),
    Row("import_character", MAKES, "/characters/import", files=CARD),
    Row("export_character", OWNER, "/characters/{public}/export"),
    Row("export_character", OWNER, "/characters/{private}/export?format=json"),
    Row("list_tags", EVERYBODY, "/tags"),
    Row("list_personas", SIGNED_IN, "/personas"),
    Row("create_persona", MAKES, "/personas", {"name": "Ash"}),
    Row("change_persona", OWNER, "/personas/{persona}", {"name": "Birch"}),
    Row("delete_persona", OWNER_204, "/personas/{persona}"),
    Row("get_preferences", SIGNED_IN, "/preferences"),
    Row("change_preferences", SIGNED_IN, "/preferences", {"theme": "dark"}),
    Row(
        "change_preferences", (401, 422, 200, 422, 422), "/preferences",
        {"default_persona": "{persona}"},
    ),
    Row("list_keys", SIGNED_IN, "/keys"),
    Row("create_key", (401, 403, 201, 201, 201), "/keys", {"name": "laptop"}),
    Row("revoke_key", OWNER_204, "/keys/{key}"),
]  # fmt: skip


def operations() -> dict[str, str]:
    """Every endpoint's name and method."""
    paths = json.loads(openapi.text())["paths"]
    return {
        operation["operationId"]: method.upper()
        for methods in paths.values()
        for method, operation in methods.items()
    }


def test_every_endpoint_has_a_row(core_settings: Settings) -> None:
    assert {row.name for row in ROWS} == operations().keys()


CSRF = "c" * 32


def sign_in_all(roles: dict[str, Browser]) -> None:
    """Give each browser a session, without the steps that other tests take."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.hashers import make_password

    from troupe.core.models import User

    store = import_module(settings.SESSION_ENGINE).SessionStore
    for role, browser in roles.items():
        browser.csrf = CSRF
        browser.http.cookies.set(settings.CSRF_COOKIE_NAME, CSRF)
        if role == "anonymous":
            continue
        user = User.objects.create(
            name=role,
            display_name=role,
            guest=role == "guest",
            is_staff=role == "admin",
            is_superuser=role == "admin",
            password=make_password(None if role == "guest" else PASSWORD),
        )
        session = store()
        session[SESSION_KEY] = str(user.id)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        browser.http.cookies.set(settings.SESSION_COOKIE_NAME, session.session_key)


async def things_of(owner: Browser, role: str, row: Row) -> dict[str, str]:
    """What of the owner's a row speaks of, made anew for a role."""
    spoken = f"{row.path} {row.json}"
    found = {"new": f"new-{role}"}
    if "{public}" in spoken:
        found["public"] = (await owner.character(name=f"Public {role}"))["slug"]
    if "{private}" in spoken:
        made = await owner.character(name=f"Private {role}", visibility="private")
        found["private"] = made["slug"]
    if "{persona}" in spoken:
        found["persona"] = (await owner.post("/personas", {"name": "Ash"}))["id"]
    if "{key}" in spoken:
        found["key"] = (await owner.post("/keys", {"name": "laptop"}))["id"]
    return found


def filled(value: Any, things: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(each, things) for key, each in value.items()}
    return value.format(**things) if isinstance(value, str) else value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.path}")
async def test_each_role_gets_what_its_row_says(row: Row, browser: Browsers) -> None:
    method = operations()[row.name]
    roles = {role: browser() for role in ROLES}
    await in_database(sign_in_all, roles)
    owner = roles["owner"]
    # the owner asks last, because their asking may end the session that makes the things
    for role in sorted(ROLES, key=lambda each: each == "owner"):
        things = await things_of(owner, role, row)
        answer = await roles[role](
            method,
            filled(row.path, things),
            json=filled(row.json, things),
            files=row.files or None,
        )
        expected = row.statuses[ROLES.index(role)]
        assert answer.status_code == expected, f"{role}: {answer.status_code} {answer.text}"
        if expected >= 400:
            error_of(answer)
        if expected == 404:
            await unchanged(owner, things)


async def unchanged(owner: Browser, things: dict[str, str]) -> None:
    """What others were refused is as it was."""
    for slug in things.keys() & {"public", "private"}:
        shown = await owner.get(f"/characters/{things[slug]}")
        assert (shown["version"], shown["tagline"]) == (1, "")
    if "persona" in things:
        personas = (await owner.get("/personas"))["items"]
        assert (things["persona"], "Ash") in [(each["id"], each["name"]) for each in personas]
    if "key" in things:
        assert things["key"] in [each["id"] for each in (await owner.get("/keys"))["items"]]
