"""What a new platform begins with, and that beginning twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from tests.support.core import Browser, in_database
from troupe.core import bootstrap, seeds
from troupe.settings import Settings

Browsers = Callable[[], Browser]


@pytest.fixture
async def begun(core_settings: Settings, core_database: str) -> None:
    await in_database(bootstrap.bootstrap, core_settings, "the admin's password", "sk-given")


def count(dsn: str) -> list[tuple[int, ...]]:
    with psycopg.connect(dsn) as connection:
        tables = ("user", "character", "characterversion", "apikey", "auditentry")
        return [
            connection.execute(f"SELECT count(*) FROM core_{table}").fetchone() or ()
            for table in tables
        ]


async def test_the_admin_can_sign_in_and_has_the_key(
    begun: None, browser: Browsers, core_database: str
) -> None:
    admin = browser()
    await admin.session("/login", {"name": "admin", "password": "the admin's password"})
    assert admin.user["staff"]
    assert [key["name"] for key in (await admin.get("/keys"))["items"]] == ["first start"]


async def test_the_seeds_are_there_and_belong_to_the_platform(
    begun: None, browser: Browsers
) -> None:
    found = (await browser().get("/characters?limit=100"))["items"]
    assert {each["slug"] for each in found} == {seed.slug for seed in seeds.load()}
    assert {each["owner"]["name"] for each in found} == {"troupe"}
    assert all(each["avatar"] for each in found)
    page = await browser().get("/characters/mira-vale")
    assert page["greeting"]
    assert page["definition_chars"] > 100


async def test_nobody_signs_in_as_the_platform(begun: None, browser: Browsers) -> None:
    someone = browser()
    await someone.session()
    for password in ("", "!", "None", "troupe"):
        body = {"name": "troupe", "password": password or "x"}
        assert (await someone("POST", "/session/login", json=body)).status_code == 401


async def test_a_second_start_changes_nothing(
    begun: None, core_settings: Settings, core_database: str, browser: Browsers
) -> None:
    before = count(core_database)
    await in_database(bootstrap.bootstrap, core_settings, "another password", "sk-given")
    assert count(core_database) == before
    await browser().session("/login", {"name": "admin", "password": "the admin's password"})


async def test_a_seed_whose_text_changed_gets_a_version(
    begun: None, core_settings: Settings, browser: Browsers
) -> None:
    first, *others = seeds.load()
    changed = replace(first, card=replace(first.card, greeting="*waves* Hello again."))

    def load() -> None:
        from troupe.core.models import User

        bootstrap.load_seeds(User.objects.get(name="troupe"), [changed, *others])

    await in_database(load)
    page = await browser().get(f"/characters/{first.slug}")
    assert (page["version"], page["greeting"]) == (2, "*waves* Hello again.")
    assert (await browser().get(f"/characters/{others[0].slug}"))["version"] == 1


async def test_a_seed_that_was_deleted_stays_away(
    begun: None, core_settings: Settings, browser: Browsers
) -> None:
    def delete() -> None:
        from troupe.core.actions import characters
        from troupe.core.models import Character

        character = Character.objects.get(slug="mira-vale")
        characters.delete(character.owner, character)

    await in_database(delete)
    await in_database(bootstrap.bootstrap, core_settings, "x", None)
    assert (await browser()("GET", "/characters/mira-vale")).status_code == 404


async def test_the_admins_password_can_be_set_anew(
    begun: None, core_settings: Settings, browser: Browsers
) -> None:
    await in_database(bootstrap.set_admin_password, core_settings, "a new password")
    await browser().session("/login", {"name": "admin", "password": "a new password"})
