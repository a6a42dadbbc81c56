"""How many transaction ids each request may use: reads none, a change one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.core import PASSWORD, Browser
from tests.support.transaction_ids import transaction_ids

Browsers = Callable[[], Browser]

READS = [
    "/session",
    "/characters",
    "/characters?q=mira&sort=name",
    "/characters?owner=me",
    "/characters/mira-vale",
    "/characters/mira-vale/export?format=json",
    "/characters/nobody",
    "/tags",
    "/personas",
    "/preferences",
    "/keys",
]


@pytest.mark.parametrize("path", READS)
async def test_a_read_uses_none(path: str, browser: Browsers, core_database: str) -> None:
    user = await browser().register("river")
    await user.character()

    from troupe.core import search

    async def read() -> None:
        search.tag_counts.forget()
        await user("GET", path)

    assert await transaction_ids(core_database, read, most=0) == 0


async def test_a_visit_without_a_session_uses_none(browser: Browsers, core_database: str) -> None:
    async def visit() -> None:
        someone = browser()
        await someone.get("/session")
        await someone.get("/characters")

    assert await transaction_ids(core_database, visit, most=0) == 0


async def test_a_change_uses_one(browser: Browsers, core_database: str) -> None:
    user = await browser().register("river")
    await user.character()
    persona = await user.post("/personas", {"name": "Ash"})
    count = iter(range(1000))

    def changing(method: str, path: str, field: str) -> Callable[[], Awaitable[Any]]:
        return lambda: user(method, path, json={field: f"Text {next(count)}"})

    works = {
        "create": changing("POST", "/characters", "name"),
        "publish": changing("PATCH", "/characters/mira-vale", "greeting"),
        "persona": changing("PATCH", f"/personas/{persona['id']}", "name"),
        "preferences": changing("PATCH", "/preferences", "default_model"),
    }
    used = {name: await transaction_ids(core_database, work, 1) for name, work in works.items()}
    assert used == dict.fromkeys(works, 1)


async def test_a_chat_token_uses_none(browser: Browsers, core_database: str) -> None:
    user = await browser().register("river")
    assert await transaction_ids(core_database, lambda: user.post("/chat-token"), most=0) == 0


async def test_beginning_a_session_is_bounded(browser: Browsers, core_database: str) -> None:
    await browser().register("river")

    async def guest() -> None:
        await browser().session("/guest")

    async def login() -> None:
        await browser().session("/login", {"name": "river", "password": PASSWORD})

    assert await transaction_ids(core_database, guest, most=3) <= 3
    assert await transaction_ids(core_database, login, most=3) <= 3
