"""The ASGI app: headers, files, failures, the admin, and where it may be mounted."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import httpx
import psycopg
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.support.core import Browser, error_of, in_database
from troupe.core import asgi, bootstrap, config, jobs, migrate, popularity
from troupe.settings import Settings
from troupe.telemetry.request_id import RequestIdMiddleware

Browsers = Callable[[], Browser]
ADMIN = "the admin's password"


async def test_it_can_be_mounted_under_each_of_its_prefixes(core_app: asgi.CoreApp) -> None:
    whole = Starlette(routes=[Mount(prefix, core_app) for prefix in asgi.PREFIXES])
    transport = httpx.ASGITransport(app=whole)
    async with httpx.AsyncClient(transport=transport, base_url="http://troupe.test") as client:
        for path, status in (
            ("/api/v1/session", 200),
            ("/api/v1/openapi.json", 200),
            ("/api/v1/docs", 200),
            ("/admin/login/", 200),
            ("/static/admin/css/base.css", 200),
            ("/static/ninja/swagger-ui.css", 200),
            ("/media/avatars/00/none.webp", 404),
            ("/media/../cards/x", 404),
            ("/api/v2/session", 404),
        ):
            answer = await client.get(path)
            assert answer.status_code == status, path


async def test_answers_are_not_cached_and_run_no_scripts(browser: Browsers) -> None:
    answer = await browser()("GET", "/session")
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = await browser()("GET", "/docs")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"https?://", re.sub(r"<link[^>]*icon[^>]*>", "", page.text))


async def test_other_sites_get_no_leave_to_read(browser: Browsers) -> None:
    answer = await browser()("GET", "/session", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_lost_database_is_503_and_comes_back(
    browser: Browsers, core_settings: Settings, core_database: str, postgres_server: str
) -> None:
    from django.db import connections

    user = await browser().register("river")
    place = connections.settings["default"]
    config.close()
    name = place["NAME"]
    place["NAME"] = "there_is_no_such_database"
    place["OPTIONS"]["pool"] = place["OPTIONS"]["pool"] | {"timeout": 0.3}
    try:
        answer = await user("GET", "/keys")
        assert answer.status_code == 503
        assert error_of(answer)["code"] == "unavailable"
        assert answer.headers["Retry-After"]
        assert await asgi.check_database()
    finally:
        config.close()
        place["NAME"] = name
        place["OPTIONS"]["pool"] = place["OPTIONS"]["pool"] | {"timeout": 5}
    assert await asgi.check_database() is None
    # connections that the server ended are noticed and replaced
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
    assert (await user("GET", "/keys")).status_code == 200


async def test_requests_are_counted_by_route(browser: Browsers) -> None:
    def seen() -> float:
        labels = {"method": "GET", "route": "api/v1/characters/<slug>", "status": "404"}
        return REGISTRY.get_sample_value("troupe_core_requests_total", labels) or 0.0

    before = seen()
    await browser()("GET", "/characters/one")
    await browser()("GET", "/characters/two")
    assert seen() == before + 2


async def test_the_audit_log_names_actor_and_request(
    core_app: asgi.CoreApp, browser: Browsers, core_database: str
) -> None:
    user = Browser(RequestIdMiddleware(core_app))  # type: ignore[arg-type]
    await user.register("river")
    await user("POST", "/personas", json={"name": "Ash"}, headers={"X-Request-ID": "r-1"})
    await user.http.aclose()
    with psycopg.connect(core_database) as connection:
        rows = connection.execute(
            "SELECT actor_id, action FROM core_auditentry WHERE request_id = 'r-1'"
        ).fetchall()
    assert rows == [(UUID(user.user["id"]), "persona.create")]


async def test_the_lifespan_writes_what_was_counted(
    core_app: asgi.CoreApp, browser: Browsers, core_database: str
) -> None:
    await in_database(popularity.flush)
    await (await browser().register("river")).character()
    async with core_app.router.lifespan_context(core_app):
        await browser().get("/characters/mira-vale")
    with psycopg.connect(core_database) as connection:
        assert connection.execute("SELECT views FROM core_character").fetchone() == (1,)


class TestAdmin:
    @pytest.fixture
    async def admin(
        self, browser: Browsers, core_settings: Settings, core_database: str
    ) -> Browser:
        await in_database(bootstrap.bootstrap, core_settings, ADMIN, "sk-given")
        found = browser()
        await found.session("/login", {"name": "admin", "password": ADMIN})
        return found

    async def test_every_page_opens(self, admin: Browser) -> None:
        answer = await admin.http.get("/admin/")
        assert answer.status_code == 200
        lists = set(re.findall(r'href="(/admin/core/\w+/)"', answer.text))
        assert len(lists) == 5
        for page in lists:
            shown = await admin.http.get(page + "?q=mira")
            assert shown.status_code == 200, page
            shown = await admin.http.get(page)
            first = re.search(rf'href="({page}[^"/]+/change/)', shown.text)
            if first:
                assert (await admin.http.get(first.group(1))).status_code == 200, first.group(1)

    async def test_nobody_else_gets_in(self, browser: Browsers) -> None:
        user = await browser().register("river")
        for who in (user, browser()):
            answer = await who.http.get("/admin/core/user/")
            assert answer.status_code == 302
            assert "/admin/login/" in answer.headers["location"]

    async def test_it_hides_and_deletes_characters_on_the_record(
        self, admin: Browser, browser: Browsers, core_database: str
    ) -> None:
        mira = await admin.get("/characters/mira-vale")
        for action, status in (("hide", 404), ("remove", 404)):
            form = {"action": action, "_selected_action": mira["id"]}
            headers = {"X-CSRFToken": admin.csrf}
            answer = await admin.http.post("/admin/core/character/", data=form, headers=headers)
            assert answer.status_code == 302, answer.text
            seen = await browser()("GET", "/characters/mira-vale")
            assert seen.status_code == status
        with psycopg.connect(core_database) as connection:
            rows = connection.execute(
                "SELECT action FROM core_auditentry WHERE target = %s ORDER BY id", [mira["id"]]
            ).fetchall()
        assert [row[0] for row in rows][1:] == ["character.visibility", "character.delete"]

    async def test_it_changes_a_user_on_the_record(
        self, admin: Browser, browser: Browsers, core_database: str
    ) -> None:
        user = await browser().register("river")
        form = {"name": "river", "display_name": "River", "email": ""}  # active is left out
        answer = await admin.http.post(
            f"/admin/core/user/{user.user['id']}/change/",
            data=form,
            headers={"X-CSRFToken": admin.csrf},
        )
        assert answer.status_code == 302, answer.text
        assert (await user.get("/session"))["user"] is None
        with psycopg.connect(core_database) as connection:
            row = connection.execute(
                "SELECT details FROM core_auditentry WHERE action = 'admin.user'"
            ).fetchone()
        assert row is not None
        assert row[0] == {"fields": ["display_name", "is_active"]}


async def test_ended_sessions_are_cleared(
    browser: Browsers, core_settings: Settings, core_database: str
) -> None:
    await browser().register("river")
    await browser().register("brook")
    with psycopg.connect(core_database, autocommit=True) as connection:
        connection.execute(
            "UPDATE django_session SET expire_date = now() - interval '1 day' WHERE session_key = "
            "(SELECT min(session_key) FROM django_session)"
        )
        await in_database(jobs.clear_expired_sessions, core_settings)
        left = connection.execute("SELECT count(*) FROM django_session").fetchone()
    assert left == (1,)


async def test_migrating_a_current_database_does_nothing(core_settings: Settings) -> None:
    assert await in_database(migrate.migrate, core_settings) == []


def test_django_is_set_up_once(core_settings: Settings) -> None:
    config.setup(core_settings)
    with pytest.raises(config.AlreadySetUp):
        config.setup(core_settings.model_copy(update={"port": 1}))


def test_an_app_needs_a_database_and_a_secret(core_settings: Settings) -> None:
    with pytest.raises(ValueError, match="database_url"):
        asgi.create_app(core_settings.model_copy(update={"database_url": None}))
