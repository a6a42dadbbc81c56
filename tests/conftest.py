"""Fixtures that every tier's tests share: a real PostgreSQL and a fresh database for a test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from troupe.ops.postgres import running


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of a superuser on a real server: TROUPE_TEST_DATABASE_URL, or the embedded one, started
    here (one for each worker process of pytest)."""
    given = os.environ.get("TROUPE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with running(tmp_path_factory.mktemp("postgres")) as server:
        yield make_conninfo(server.dsn, dbname="postgres")


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """DSN of an empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield make_conninfo(postgres_server, dbname=name)
    finally:
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )
