"""Which databases are fit, and which is at hand."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from troupe.ops import database
from troupe.ops.errors import DatabaseError
from troupe.ops.postgres import running
from troupe.settings import Settings


def test_a_fit_database_is_taken(database_url: str) -> None:
    assert int(database.check(database_url).split(".")[0]) >= 15


def test_another_encoding_is_refused(postgres_server: str) -> None:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE test_latin ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
        )
        try:
            with pytest.raises(DatabaseError, match="encoded in SQL_ASCII"):
                database.check(make_conninfo(postgres_server, dbname="test_latin"))
        finally:
            connection.execute("DROP DATABASE test_latin WITH (FORCE)")


def test_a_user_who_may_not_create_tables_is_refused(database_url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    role = sql.Identifier(f"reader_{name}")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        try:
            with pytest.raises(DatabaseError, match="may not create tables"):
                database.check(make_conninfo(database_url, user=f"reader_{name}"))
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_a_database_that_is_not_there_is_named(database_url: str) -> None:
    with pytest.raises(DatabaseError, match="does not exist"):
        database.check(make_conninfo(database_url, dbname="nowhere"))


def test_a_command_starts_the_embedded_server_or_uses_the_one_that_runs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url=None)
    with pytest.raises(DatabaseError, match="no database runs"):
        database.complete(settings)
    with database.at_hand(settings) as first:
        assert first.secret_key is not None
        assert first.database_url is not None
        database.check(first.database_url)
    with running(tmp_path) as server:
        with database.at_hand(settings) as second:
            assert second.database_url == server.dsn
            assert second.secret_key == first.secret_key
        database.check(server.dsn)
