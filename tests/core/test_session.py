"""Guests, registration, sign-in, passwords and the token for chat."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.cookies import SimpleCookie
from uuid import UUID

import psycopg

from tests.support.core import PASSWORD, Browser, error_of, in_database
from troupe import tokens
from troupe.settings import Settings

Browsers = Callable[[], Browser]


async def test_nobody_is_signed_in_at_first(browser: Browsers) -> None:
    answer = await browser().get("/session")
    assert answer["user"] is None
    assert answer["csrf"]


async def test_a_guest_has_a_session_until_they_sign_out(browser: Browsers) -> None:
    guest = browser()
    await guest.session("/guest")
    assert guest.user["guest"]
    assert guest.user["display_name"] == "Guest"
    first = guest.user["id"]
    await guest.session("/guest")
    assert guest.user["id"] == first, "who has a session keeps it"
    await guest.session("/logout")
    assert (await guest.get("/session"))["user"] is None


async def test_a_guest_who_registers_stays_the_same_user(browser: Browsers) -> None:
    guest = browser()
    await guest.session("/guest")
    first = guest.user["id"]
    await guest.session(
        "/register", {"name": "River", "email": "r@example.org", "password": PASSWORD}
    )
    expected = {"id": first, "name": "River", "guest": False, "email": "r@example.org"}
    assert expected.items() <= guest.user.items()
    other = browser()
    await other.session("/login", {"name": "river", "password": PASSWORD})
    assert other.user["id"] == first, "names are found in any case"


async def test_names_and_addresses_are_taken_whatever_their_case(browser: Browsers) -> None:
    first = browser()
    await first.session(
        "/register", {"name": "River", "email": "r@example.org", "password": PASSWORD}
    )
    other = browser()
    await other.session()
    taken = await other("POST", "/session/register", json={"name": "rIVER", "password": PASSWORD})
    assert taken.status_code == 409
    assert error_of(taken)["fields"] == {"name": "is taken"}
    body = {"name": "Brook", "email": "R@example.org", "password": PASSWORD}
    taken = await other("POST", "/session/register", json=body)
    assert taken.status_code == 409
    assert "email" in error_of(taken)["fields"]


async def test_registration_says_what_does_not_fit(browser: Browsers) -> None:
    cases = [
        ({"name": "ab", "password": PASSWORD}, "name"),
        ({"name": "guest-river", "password": PASSWORD}, "name"),
        ({"name": "river stone", "password": PASSWORD}, "name"),
        ({"name": "river\0", "password": PASSWORD}, "name"),
        ({"name": "river", "password": "short"}, "password"),
        ({"name": "river", "password": "password123"}, "password"),
        ({"name": "riverstone", "password": "riverstone1"}, "password"),
        ({"name": "river", "password": PASSWORD, "email": "nowhere"}, "email"),
        ({"name": "river", "password": PASSWORD, "staff": True}, "staff"),
        ({"password": PASSWORD}, "name"),
    ]
    someone = browser()
    await someone.session()
    for body, field in cases:
        answer = await someone("POST", "/session/register", json=body)
        assert answer.status_code == 422, body
        assert field in error_of(answer)["fields"], body
    assert (await someone.get("/session"))["user"] is None


async def test_a_wrong_password_and_a_wrong_name_look_the_same(browser: Browsers) -> None:
    await (await browser().register("river")).get("/session")
    other = browser()
    await other.session()
    wrong = await other("POST", "/session/login", json={"name": "river", "password": "x"})
    nobody = await other("POST", "/session/login", json={"name": "nobody", "password": "x"})
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()


async def test_sign_in_is_throttled_by_account(browser: Browsers) -> None:
    other = browser()
    await other.session()
    body = {"name": "river", "password": "x"}
    answers = [await other("POST", "/session/login", json=body) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert error_of(answers[-1])["code"] == "too_many_requests"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 300
    body = {"name": "brook", "password": "x"}
    assert (await other("POST", "/session/login", json=body)).status_code == 401


async def test_a_new_password_ends_the_other_sessions(browser: Browsers) -> None:
    here = await browser().register("river")
    there = browser()
    await there.session("/login", {"name": "river", "password": PASSWORD})
    wrong = await here("POST", "/session/password", json={"old": "x", "new": "another horse"})
    assert wrong.status_code == 401
    weak = await here("POST", "/session/password", json={"old": PASSWORD, "new": "12345678"})
    assert weak.status_code == 422
    await here.session("/password", {"old": PASSWORD, "new": "another horse"})
    assert here.user["name"] == "river"
    assert (await there.get("/session"))["user"] is None
    await there.session("/login", {"name": "river", "password": "another horse"})


async def test_every_write_needs_the_csrf_token(browser: Browsers) -> None:
    someone = browser()
    for path in ("/session/guest", "/session/login", "/session/register", "/session/logout"):
        answer = await someone("POST", path, json={"name": "river", "password": PASSWORD})
        assert answer.status_code == 403, path
        assert error_of(answer)["code"] == "csrf"
    await someone.register("river")
    answer = await someone("POST", "/keys", json={"name": "x"}, headers={"X-CSRFToken": "wrong"})
    assert answer.status_code == 403
    elsewhere = {"Origin": "https://evil.example"}
    answer = await someone("POST", "/keys", json={"name": "x"}, headers=elsewhere)
    assert answer.status_code == 403


async def test_cookies_are_out_of_scripts_reach(browser: Browsers) -> None:
    someone = browser()
    await someone.session()
    answer = await someone("POST", "/session/guest")
    cookies = [SimpleCookie(line) for line in answer.headers.get_list("set-cookie")]
    session = next(cookie["troupe_session"] for cookie in cookies if "troupe_session" in cookie)
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    assert int(session["max-age"]) == 30 * 24 * 3600


async def test_the_chat_token_says_who_asks(browser: Browsers, core_settings: Settings) -> None:
    guest = browser()
    await guest.session("/guest")
    answer = await guest.post("/chat-token")
    assert core_settings.secret_key is not None
    token = tokens.verify(core_settings.secret_key.get_secret_value(), answer["token"])
    assert token.user_id == UUID(guest.user["id"])
    assert token.guest
    assert token.name == "Guest"
    assert token.expires_at == answer["expires_at"] > time.time()


async def test_a_session_in_use_is_renewed_once_a_day(
    browser: Browsers, core_database: str
) -> None:
    guest = browser()
    await guest.session("/guest")
    with psycopg.connect(core_database, autocommit=True) as connection:

        def end() -> object:
            return connection.execute("SELECT expire_date FROM django_session").fetchone()

        first = end()
        await guest.post("/chat-token")
        assert end() == first, "not twice on the same day"

        def forget_the_day() -> None:
            from importlib import import_module

            from django.conf import settings

            key = guest.http.cookies[settings.SESSION_COOKIE_NAME]
            session = import_module(settings.SESSION_ENGINE).SessionStore(key)
            session["renewed"] = "2000-01-01"
            session.save()

        await in_database(forget_the_day)
        before = end()
        await guest.post("/chat-token")
        assert end() != before
        assert (await guest.get("/session"))["user"]["id"] == guest.user["id"]


async def test_a_disabled_user_is_signed_out(browser: Browsers) -> None:
    someone = await browser().register("river")

    def disable() -> None:
        from troupe.core.models import User

        User.objects.filter(name="river").update(is_active=False)

    await in_database(disable)
    assert (await someone.get("/session"))["user"] is None
    answer = await someone("POST", "/session/login", json={"name": "river", "password": PASSWORD})
    assert answer.status_code in (401, 403)
