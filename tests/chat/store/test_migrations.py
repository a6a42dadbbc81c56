"""Migrations run once, in order, however often and however many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg

from troupe.chat.store.migrations import migrate, names


def _schema(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable"
            " FROM information_schema.columns WHERE table_schema = 'chat' ORDER BY 1, 2"
        ).fetchall()


def test_a_second_run_does_nothing(database_url: str) -> None:
    assert migrate(database_url) == names()
    before = _schema(database_url)
    assert before
    assert migrate(database_url) == []
    assert _schema(database_url) == before


def test_runs_at_the_same_time_apply_each_migration_once(database_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        ran = list(pool.map(migrate, [database_url] * 6))
    assert sorted(name for names_ran in ran for name in names_ran) == names()
    assert migrate(database_url) == []


def test_all_is_in_the_schema_of_the_store(database_url: str) -> None:
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        elsewhere = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('chat', 'pg_catalog', 'information_schema')"
        ).fetchall()
        made = connection.execute(
            "SELECT (SELECT count(*) FROM pg_sequence), (SELECT count(*) FROM pg_trigger),"
            " (SELECT count(*) FROM pg_index WHERE indpred IS NOT NULL)"
        ).fetchone()
    assert elsewhere == []
    assert made == (0, 0, 0)
