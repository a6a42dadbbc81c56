"""A chat service on a real port over a real database, and clients that speak its protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from tests.support.catalog import CatalogRows
from tests.support.chat_client import ChatClient
from tests.support.scripted import ScriptedModels
from tests.support.serving import serving
from troupe import tokens
from troupe.chat.app import UVICORN_OPTIONS, Service, assemble, build
from troupe.chat.catalog_pg import PostgresCatalog
from troupe.chat.limits import Buckets
from troupe.chat.socket import Sockets
from troupe.chat.store import PostgresStore
from troupe.chat.store.migrations import migrate
from troupe.chat.store.types import MessageKey
from troupe.settings import Settings

SECRET = "a secret of at least thirty-two bytes, for tests"


@dataclass
class ChatServer:
    """The server under test."""

    port: int
    service: Service
    models: ScriptedModels
    rows: CatalogRows
    settings: Settings
    sockets: Sockets
    buckets: Buckets
    clients: list[ChatClient] = field(default_factory=list)

    async def stored_body(self, message: str) -> str:
        """What the store itself has of a message."""
        key = MessageKey.parse(message)
        store = self.service.chats.store
        turns = await store.path(key.chat_id, key.branch, before=key.seq + 1, limit=1)
        return next(m.body for m in turns[0].candidates if m.key == key)

    def user(self, name: str = "Ada", user_id: UUID | None = None) -> ChatClient:
        """A person with a good token."""
        user_id = user_id or uuid4()
        token = tokens.sign(SECRET, user_id, name, guest=False)
        client = ChatClient(self.port, user_id, token)
        self.clients.append(client)
        return client


@pytest.fixture
def chat_settings(database_url: str) -> Settings:
    return Settings(secret_key=SECRET, database_url=database_url, max_message_chars=4000)


@pytest.fixture
def rows(database_url: str) -> CatalogRows:
    rows = CatalogRows(database_url)
    rows.create()
    migrate(database_url)
    rows.character("mira")
    return rows


@pytest.fixture
def models() -> ScriptedModels:
    return ScriptedModels()


@asynccontextmanager
async def fresh_server(
    settings: Settings, rows: CatalogRows, models: ScriptedModels
) -> AsyncIterator[ChatServer]:
    """A server of its own over the same database."""
    catalog = PostgresCatalog(rows.dsn)
    store = PostgresStore(rows.dsn)
    service = build(settings, store, catalog, models, (store, catalog))
    app = assemble(settings, service)
    app.state.buckets.rate = app.state.buckets.burst = 1e9  # tests ask more than people do
    async with serving(app, **UVICORN_OPTIONS) as port:
        server = ChatServer(
            port, service, models, rows, settings, app.state.sockets, app.state.buckets
        )
        try:
            yield server
        finally:
            for client in server.clients:
                await client.close()


@pytest.fixture
async def server(
    chat_settings: Settings, rows: CatalogRows, models: ScriptedModels
) -> AsyncIterator[ChatServer]:
    async with fresh_server(chat_settings, rows, models) as server:
        yield server
