"""Core for tests: Django set up and a database migrated once a process, emptied for each test."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from troupe.core import config
from troupe.core.asgi import CoreApp, create_app
from troupe.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
_TABLES = """SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN
('django_migrations', 'django_content_type', 'auth_permission')"""
PASSWORD = "correct horse battery"


def _sql(server: str, statement: str, *names: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture(scope="session")
def core_settings(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings that Django is set up with; their database is migrated."""
    name = f"core_{uuid.uuid4().hex}"
    _sql(postgres_server, "CREATE DATABASE {}", name)
    settings = Settings(
        home=tmp_path_factory.mktemp("core"),
        database_url=make_conninfo(postgres_server, dbname=name),
        secret_key="a secret for tests, long enough to sign with",
    )
    config.setup(settings)
    from django.conf import settings as django_settings
    from django.contrib.auth.hashers import get_hashers
    from django.core.management import call_command

    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    get_hashers.cache_clear()  # real ones are slow on purpose
    call_command("migrate", verbosity=0)
    config.close()
    yield settings
    config.close()
    _sql(postgres_server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def core_database(core_settings: Settings) -> str:
    """DSN of the database that Django uses, emptied: much quicker than another one each time."""
    from troupe.core import search, throttle

    dsn = core_settings.database_url or ""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET session_replication_role = replica")  # in any order
        for (table,) in connection.execute(_TABLES).fetchall():
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    throttle.forget()
    search.tag_counts.forget()
    return dsn


@pytest.fixture
def core_app(core_settings: Settings, core_database: str) -> CoreApp:
    """Core's ASGI app over the test's database."""
    return create_app(core_settings)


class Browser:
    """A browser as core sees one: it keeps cookies, and sends the CSRF token with its writes."""

    def __init__(self, app: CoreApp) -> None:
        # an error in the app must come as an answer, not as an exception of the test's
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://troupe.test")
        self.user: dict[str, Any] = {}
        self.csrf = ""

    async def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to `/api/v1` + path."""
        headers = {"X-CSRFToken": self.csrf} | options.pop("headers", {})
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **options)

    async def get(self, path: str, **options: Any) -> Any:
        """What a GET that succeeds answers."""
        return _good(await self("GET", path, **options))

    async def post(self, path: str, json: Any = None, **options: Any) -> Any:
        """What a POST that succeeds answers."""
        return _good(await self("POST", path, json=json, **options))

    async def session(self, path: str = "", json: Any = None) -> dict[str, Any]:
        """GET /session, or POST to something under it; keeps the user and the token."""
        if not self.csrf:
            self.csrf = (await self.get("/session"))["csrf"]
        answer = await (self.post(f"/session{path}", json) if path else self.get("/session"))
        self.user, self.csrf = answer["user"] or {}, answer["csrf"]
        return dict(answer)

    async def register(self, name: str) -> Browser:
        """Sign up under this name, and stay signed in."""
        await self.session("/register", {"name": name, "password": PASSWORD})
        return self

    async def character(self, **fields: Any) -> dict[str, Any]:
        """A public character of this user's."""
        given = {"name": "Mira Vale", "visibility": "public", "definition": "Keeps a light."}
        return dict(await self.post("/characters", given | fields))


def _good(response: httpx.Response) -> Any:
    assert response.is_success, f"{response.status_code} {response.text}"
    return response.json() if response.content else None


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error in an answer, which must have the one shape."""
    body = response.json()
    assert response.status_code >= 400, body
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "fields"}
    return dict(body["error"])


@pytest.fixture
async def browser(core_app: CoreApp) -> AsyncIterator[Callable[[], Browser]]:
    """Makes browsers: `browser()` has no session yet."""
    made: list[Browser] = []

    def make() -> Browser:
        made.append(Browser(core_app))
        return made[-1]

    yield make
    for each in made:
        await each.http.aclose()


async def in_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that queries through Django, as a request would: in a thread of its own."""
    from django.db import connection

    def run() -> T:
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.to_thread(run)
