"""A migrated database for this folder's tests, and a store over it.

Tests share the database: each makes chats of its own, which are random. `store` is what the
contract suite runs against; another implementation of `ChatStore` is tried by overriding it.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from troupe.chat.store.migrations import migrate
from troupe.chat.store.postgres import PostgresStore


@pytest.fixture(scope="session")
def store_url(postgres_server: str) -> Iterator[str]:
    """DSN of a migrated database, one a test process."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dsn = make_conninfo(postgres_server, dbname=name)
        migrate(dsn)
        yield dsn
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore(store_url) as store:
        yield store
