"""Core as an ASGI app: Django under /api and /admin, pictures and the admin's scripts beside it.

`ops` mounts the app under each of `PREFIXES` and enters its lifespan, or serves it alone. It finds
its way by the whole path, so it may be mounted under any of them or at the root.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.db import DatabaseError, connection
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from troupe.settings import Settings
from troupe.telemetry import logs

from . import config, limits, popularity
from .body_limit import BodyLimit

PREFIXES = ("/api", "/admin", "/media", "/static")
_log = logs.get("troupe.core")


class CoreApp(Starlette):
    """Starlette, whatever it is mounted under."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope = {**scope, "root_path": ""}
        await super().__call__(scope, receive, send)


class Kept(StaticFiles):
    """Files with a time to keep them, and no right to be anything but what they are."""

    def __init__(self, cache: str, directory: Path | None = None, **options: object) -> None:
        super().__init__(directory=directory, **options)  # type: ignore[arg-type]
        self._cache = cache

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or what Starlette answers in its place."""
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = self._cache
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def create_app(settings: Settings) -> CoreApp:
    """The app. Raises `ValueError` if the settings lack a database or a secret.

    Django is set up once a process: `config.AlreadySetUp` if it was with other settings.
    """
    if settings.database_url is None or settings.secret_key is None:
        raise ValueError("core needs settings with database_url and secret_key")
    config.setup(settings)
    django = _at_root(cast("ASGIApp", get_asgi_application()))
    media = settings.root / "media"
    media.mkdir(parents=True, exist_ok=True)
    pictures = Kept("public, max-age=31536000, immutable", media)
    packages = [("django.contrib.admin", "static"), ("ninja", "static")]
    return CoreApp(
        routes=[
            Mount("/api", django),
            Mount("/admin", django),
            Mount("/media", pictures),
            Mount("/static", Kept("public, max-age=3600", packages=packages)),
        ],
        middleware=[Middleware(BodyLimit, upload=settings.max_upload_mb * limits.MB)],
        lifespan=_lifespan,
    )


async def check_database() -> str | None:
    """For readiness: `None`, or why core's database cannot be asked."""
    return await sync_to_async(_ask, thread_sensitive=False)()


def _ask() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None


def _at_root(app: ASGIApp) -> ASGIApp:
    """Django's addresses hold the whole path, so it must not take the mount's part off."""

    async def unmounted(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": ""}, receive, send)

    return unmounted


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    flushing = asyncio.create_task(_flush_views())
    try:
        yield
    finally:
        flushing.cancel()
        with suppress(asyncio.CancelledError):
            await flushing
        await _flush_once()
        config.close()


async def _flush_views() -> None:

    while True:
        await asyncio.sleep(popularity.FLUSH_S)
        await _flush_once()


async def _flush_once() -> None:

    def flush_and_return() -> None:
        try:
            popularity.flush()
        except DatabaseError as error:
            _log.warning("views of characters are kept for later", error=str(error))
        finally:
            connection.close()

    await sync_to_async(flush_and_return, thread_sensitive=False)()
