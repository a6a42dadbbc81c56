"""What users keep for themselves: personas, preferences, API keys."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable

import psycopg
import pytest

from tests.support.core import Browser, error_of

Browsers = Callable[[], Browser]


@pytest.fixture
async def user(browser: Browsers) -> Browser:
    return await browser().register("river")


async def test_a_persona_is_made_changed_and_deleted(user: Browser) -> None:
    made = await user.post("/personas", {"name": " Ash ", "description": "A botanist."})
    assert made["name"] == "Ash"
    changed = await user("PATCH", f"/personas/{made['id']}", json={"description": "A baker."})
    assert changed.json() == made | {"description": "A baker."}
    assert (await user.get("/personas"))["items"] == [changed.json()]
    assert (await user("DELETE", f"/personas/{made['id']}")).status_code == 204
    assert (await user.get("/personas"))["items"] == []


async def test_a_persona_can_be_the_default_one(user: Browser, core_database: str) -> None:
    ash = await user.post("/personas", {"name": "Ash"})
    await user.post("/personas", {"name": "Birch"})
    await user("PATCH", "/preferences", json={"default_persona": ash["id"]})
    listed = (await user.get("/personas"))["items"]
    assert [(each["name"], each["is_default"]) for each in listed] == [
        ("Ash", True),
        ("Birch", False),
    ]
    with psycopg.connect(core_database) as connection:
        rows = connection.execute("SELECT name, is_default FROM catalog_persona ORDER BY name")
        assert rows.fetchall() == [("Ash", True), ("Birch", False)]
    await user("DELETE", f"/personas/{ash['id']}")
    assert (await user.get("/preferences"))["default_persona"] is None


async def test_preferences_have_defaults_and_change_one_by_one(user: Browser) -> None:
    first = await user.get("/preferences")
    assert first == {"default_model": "", "theme": "system", "default_persona": None}
    changed = await user("PATCH", "/preferences", json={"theme": "dark"})
    assert changed.json() == first | {"theme": "dark"}
    changed = await user("PATCH", "/preferences", json={"default_model": "troupe-small"})
    assert changed.json() == first | {"theme": "dark", "default_model": "troupe-small"}
    for body in ({"theme": "pink"}, {"theme": None}, {"default_model": "x" * 201}, {"zoom": 2}):
        answer = await user("PATCH", "/preferences", json=body)
        assert answer.status_code == 422
        assert list(error_of(answer)["fields"]) == list(body)


async def test_somebody_elses_persona_cannot_be_the_default(
    user: Browser, browser: Browsers
) -> None:
    other = await browser().register("brook")
    theirs = await other.post("/personas", {"name": "Ash"})
    for persona in (theirs["id"], str(uuid.uuid4())):
        answer = await user("PATCH", "/preferences", json={"default_persona": persona})
        assert answer.status_code == 422
        assert "default_persona" in error_of(answer)["fields"]


async def test_a_keys_secret_is_shown_once_and_kept_nowhere(
    user: Browser, core_database: str
) -> None:
    made = await user.post("/keys", {"name": "laptop"})
    secret = made["secret"]
    assert secret.startswith("tr_")
    assert len(secret) == 46
    assert (made["prefix"], made["last4"]) == (secret[:7], secret[-4:])
    listed = (await user.get("/keys"))["items"]
    assert listed == [{key: value for key, value in made.items() if key != "secret"}]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    with psycopg.connect(core_database, autocommit=True) as connection:
        view = "SELECT user_id::text, user_name FROM catalog_api_key WHERE key_sha256 = %s"
        assert connection.execute(view, [digest]).fetchone() == (user.user["id"], "river")
        rows = connection.execute("SELECT row_to_json(k)::text FROM core_apikey AS k").fetchall()
        assert secret not in str(rows)
        assert (await user("DELETE", f"/keys/{made['id']}")).status_code == 204
        assert connection.execute(view, [digest]).fetchone() is None
    assert (await user.get("/keys"))["items"] == []
    assert (await user("DELETE", f"/keys/{made['id']}")).status_code == 404


async def test_keys_of_disabled_users_are_not_in_the_view(
    user: Browser, core_database: str
) -> None:
    await user.post("/keys", {"name": "laptop"})
    with psycopg.connect(core_database, autocommit=True) as connection:
        connection.execute("UPDATE core_user SET is_active = false")
        assert connection.execute("SELECT * FROM catalog_api_key").fetchall() == []


async def test_guests_have_no_keys(browser: Browsers) -> None:
    guest = browser()
    await guest.session("/guest")
    answer = await guest("POST", "/keys", json={"name": "laptop"})
    assert answer.status_code == 403
    assert error_of(answer)["code"] == "account_required"


async def test_their_number_is_limited(user: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from troupe.core import limits

    monkeypatch.setattr(limits, "PERSONAS_A_USER", 1)
    monkeypatch.setattr(limits, "KEYS_A_USER", 1)
    monkeypatch.setattr(limits, "CHARACTERS_A_USER", 1)
    for path in ("/personas", "/keys", "/characters"):
        await user.post(path, {"name": "First"})
        answer = await user("POST", path, json={"name": "Second"})
        assert answer.status_code == 409
        assert "the most" in error_of(answer)["message"]
