"""The chat service as one ASGI application, alone or mounted beside core.

`create_app(settings)` is what `troupe serve chat` and `troupe.ops.web` call. Opens what it needs
in its lifespan and settles what runs when it ends.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from troupe.gateway import from_settings
from troupe.settings import Settings
from troupe.telemetry.health import Readiness

from .answers import Answers, Models
from .catalog import Catalog
from .catalog_pg import PostgresCatalog
from .errors import NotFound as NoSuchPlace
from .errors import WrongMethod
from .generations import Generations
from .http import Api
from .http import refusal as chat_refusal
from .limits import Buckets
from .openai_api.asking import Asking
from .openai_api.errors import INVALID, OpenAIError
from .openai_api.http import OpenAIApi
from .openai_api.http import refusal as openai_refusal
from .outbox import INTERVAL_S
from .service import Chats
from .socket import Sockets
from .store.base import ChatStore
from .store.postgres import PostgresStore
from .turns import Turns
from .warm import WarmChats

SOCKET_PATH = "/chat/v1/socket"
REQUESTS_PER_SECOND = 20.0  # of one user, over HTTP, for long
REQUESTS_AT_ONCE = 100.0

# What uvicorn has to be told for the sockets: deflate would triple their memory.
UVICORN_OPTIONS = {
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,
    "ws_max_size": 128 * 1024,
    "loop": "uvloop",
    "http": "httptools",
}


class MissingSetting(Exception):
    """A setting without which the chat service cannot run."""


class Closable(Protocol):
    """What is opened before the first request and closed after the last."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a chat service, not yet open."""

    chats: Chats
    turns: Turns
    answers: Answers
    generations: Generations
    asking: Asking
    resources: tuple[Closable, ...]

    def readiness(self) -> Readiness:
        """What has to answer for chats to go on: the database, and a model that is ready."""
        readiness = Readiness()
        readiness.add("chat database", self._database)
        readiness.add("models", self._models)
        return readiness

    async def _database(self) -> None:
        await self.chats.store.inbox("user:nobody", limit=1)

    async def _models(self) -> str | None:
        offered = await self.answers.models.models()
        if any(model.ready for model in offered):
            return None
        return "; ".join(model.why_not for model in offered) or "no model is on offer"


def build(
    settings: Settings,
    store: ChatStore,
    catalog: Catalog,
    models: Models,
    resources: tuple[Closable, ...],
) -> Service:
    """Put the parts together. `resources` are opened in this order and closed in the other."""
    generations = Generations(store, settings.instance, settings.max_streams)
    warm = WarmChats(store)
    chats = Chats(store, catalog, generations, warm)
    answers = Answers(store, catalog, generations, models, warm, settings.default_model)
    asking = Asking(catalog, models, settings.default_model)
    turns = Turns(chats, answers, settings.max_message_chars)
    return Service(chats, turns, answers, generations, asking, resources)


def calm_collector() -> None:
    """Collect cyclic garbage less often. What lives long here (sockets, chats) is many and makes
    no cycles; a full collection over it stops every stream for a tenth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """Open the service, keep its periodic work going, and settle all at the end."""
    async with AsyncExitStack() as stack:
        for resource in service.resources:
            await resource.open()
            stack.push_async_callback(resource.close)
        await service.generations.recover()
        calm_collector()
        tasks = [
            asyncio.create_task(service.generations.keep_checkpointing()),
            asyncio.create_task(service.generations.keep_alive()),
        ]
        try:
            yield
        finally:
            await service.generations.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def assemble(settings: Settings, service: Service, interval: float = INTERVAL_S) -> Starlette:
    """The routes over a service. `interval` is the least time between two deltas of a stream, in
    seconds."""
    if settings.secret_key is None:
        raise MissingSetting("set TROUPE_SECRET_KEY to the key that core signs chat tokens with")
    secret = settings.secret_key.get_secret_value()
    sockets = Sockets(service.turns, secret, settings.max_sockets, interval)
    buckets = Buckets(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE)
    api = Api(service.chats, service.turns, secret, interval, buckets)
    openai = OpenAIApi(service.asking, service.generations, buckets)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with running(service):
            yield

    routes = [WebSocketRoute(SOCKET_PATH, sockets), *api.routes(), *openai.routes()]
    app = Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _no_such_place}
    )
    app.state.readiness = service.readiness()
    app.state.sockets = sockets
    app.state.buckets = buckets
    return app


async def _no_such_place(request: Request, error: Exception) -> Response:
    """A path or method that is not served, in the shape of the API it was looked for in."""
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path} is not served here."
    if request.url.path.startswith("/v1/"):
        return openai_refusal(OpenAIError(error.status_code, what, INVALID, None, "unknown_url"))
    return chat_refusal(NoSuchPlace(what) if error.status_code == 404 else WrongMethod(what))


def create_app(settings: Settings) -> Starlette:
    """The service over PostgreSQL, core's views and the configured providers.

    Raises `MissingSetting` without a database or a secret key. Opens nothing until its lifespan
    begins.
    """
    dsn = settings.database_url
    if dsn is None:
        raise MissingSetting("set TROUPE_DATABASE_URL to the database that holds the characters")
    store = PostgresStore(settings.chat_database_url or dsn)
    catalog = PostgresCatalog(dsn)
    gateway = from_settings(settings)
    service = build(settings, store, catalog, gateway, (store, catalog, gateway))
    return assemble(settings, service)
