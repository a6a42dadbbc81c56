"""The views that chat reads hold what chat is promised, by chat's own catalog."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest

from tests.support.core import Browser
from troupe.chat.catalog_pg import PostgresCatalog

Browsers = Callable[[], Browser]


@pytest.fixture
async def catalog(core_database: str) -> AsyncIterator[PostgresCatalog]:
    found = PostgresCatalog(core_database)
    await found.open()
    yield found
    await found.close()


@pytest.fixture
async def author(browser: Browsers) -> Browser:
    return await browser().register("author")


async def test_chat_reads_a_version_whole(author: Browser, catalog: PostgresCatalog) -> None:
    made = await author.character(
        tagline="Keeps a light",
        description="Dry.",
        greeting="Hm.",
        alternate_greetings=["One.", "Two."],
        example_dialogues="{{char}}: Hm.",
        tags=["sea"],
    )
    version = await catalog.current("mira-vale", None)
    assert version is not None
    assert version == await catalog.current(made["id"], None)
    assert version == await catalog.version(UUID(made["version_id"]))
    for field in ("name", "tagline", "description", "greeting", "definition", "example_dialogues"):
        assert getattr(version, field) == made[field]
    assert version.alternate_greetings == ("One.", "Two.")
    assert version.tags == ("sea",)
    assert version.owner_id == UUID(author.user["id"])


async def test_an_old_version_can_be_read_by_its_id_only(
    author: Browser, catalog: PostgresCatalog
) -> None:
    old = await author.character()
    await author("PATCH", "/characters/mira-vale", json={"greeting": "New."})
    current = await catalog.current("mira-vale", None)
    assert current is not None
    assert current.greeting == "New."
    kept = await catalog.version(UUID(old["version_id"]))
    assert kept is not None
    assert kept.greeting == ""


async def test_a_deleted_character_is_kept_for_the_chats_that_have_it(
    author: Browser, catalog: PostgresCatalog
) -> None:
    made = await author.character()
    await author("DELETE", "/characters/mira-vale")
    assert await catalog.current("mira-vale", UUID(author.user["id"])) is None
    assert await catalog.search(None, 10) == []
    assert await catalog.version(UUID(made["version_id"])) is not None


async def test_private_characters_are_their_owners(
    author: Browser, catalog: PostgresCatalog
) -> None:
    await author.character(visibility="private")
    owner = UUID(author.user["id"])
    assert await catalog.current("mira-vale", None) is None
    assert await catalog.current("mira-vale", uuid4()) is None
    assert await catalog.current("mira-vale", owner) is not None
    assert [each.slug for each in await catalog.search(owner, 10)] == ["mira-vale"]
    assert await catalog.search(None, 10) == []


async def test_personas_and_keys_are_found(author: Browser, catalog: PostgresCatalog) -> None:
    user_id = UUID(author.user["id"])
    assert await catalog.default_persona(user_id) is None
    made = await author.post("/personas", {"name": "Ash", "description": "A baker."})
    await author("PATCH", "/preferences", json={"default_persona": made["id"]})
    found = await catalog.default_persona(user_id)
    assert found is not None
    assert (found.name, found.description) == ("Ash", "A baker.")
    assert await catalog.persona(UUID(made["id"]), user_id) == found
    assert await catalog.persona(UUID(made["id"]), uuid4()) is None
    secret = (await author.post("/keys", {"name": "laptop"}))["secret"]
    key = await catalog.api_key(secret)
    assert key is not None
    assert (key.user_id, key.user_name) == (user_id, "author")
    assert await catalog.api_key(secret + "x") is None
