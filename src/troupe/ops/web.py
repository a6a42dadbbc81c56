"""The web process: core, chat, the OpenAI-compatible API and the web app as one ASGI app.

`web_app`, `chat_app` and `core_app` are what `troupe serve` runs. A request finds its part by the
first piece of its path; each part keeps its own errors, limits and lifespan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from troupe.ops import spa
from troupe.settings import Settings
from troupe.telemetry import health
from troupe.telemetry.request_id import RequestIdMiddleware

HEALTH_PATHS = ("healthz", "readyz", "metrics")
CORE_PATHS = ("api", "admin", "media", "static")
CHAT_PATHS = ("chat", "v1")


class Dispatch:
    """Sends a request to the part that its path's first piece names, else to `rest`.

    Parts see the whole path. Only `lifespan` has a lifespan; it opens and closes the parts.
    """

    def __init__(self, parts: Mapping[str, ASGIApp], rest: ASGIApp, lifespan: ASGIApp) -> None:
        self._parts = parts
        self._rest = rest
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        first = scope["path"].lstrip("/").partition("/")[0]
        await self._parts.get(first, self._rest)(scope, receive, send)


def web_app(settings: Settings) -> ASGIApp:
    """All of it, as `troupe serve web` runs it."""
    readiness = health.Readiness()
    core, chat = _core(settings, readiness), _chat(settings, readiness)
    return _composed(readiness, {CORE_PATHS: core, CHAT_PATHS: chat}, spa.create_app())


def core_app(settings: Settings) -> ASGIApp:
    """Core alone, for when it is scaled apart."""
    readiness = health.Readiness()
    core = _core(settings, readiness)
    return _composed(readiness, {CORE_PATHS: core}, core)


def chat_app(settings: Settings) -> ASGIApp:
    """Chat and the OpenAI-compatible API alone, without Django in the process."""
    readiness = health.Readiness()
    chat = _chat(settings, readiness)
    return _composed(readiness, {CHAT_PATHS: chat}, chat)


def _core(settings: Settings, readiness: health.Readiness) -> Starlette:
    from troupe.core import asgi

    app = asgi.create_app(settings)
    readiness.add("core database", asgi.check_database)
    return app


def _chat(settings: Settings, readiness: health.Readiness) -> Starlette:
    from troupe.chat.app import create_app

    app = create_app(settings)
    checks: health.Readiness | None = getattr(app.state, "readiness", None)
    if checks is not None:
        readiness.include(checks)
    return app


def _composed(
    readiness: health.Readiness, parts: Mapping[Sequence[str], Starlette], rest: ASGIApp
) -> ASGIApp:
    pages = Starlette(routes=health.routes(readiness), lifespan=_lifespan(list(parts.values())))
    by_path: dict[str, ASGIApp] = dict.fromkeys(HEALTH_PATHS, pages)
    by_path.update({name: app for names, app in parts.items() for name in names})
    return RequestIdMiddleware(Dispatch(by_path, rest, pages))


def _lifespan(
    apps: Sequence[Starlette],
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in apps:
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    return lifespan
