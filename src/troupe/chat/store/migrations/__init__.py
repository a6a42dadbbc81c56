"""The store's own numbered migrations, and what runs them.

`migrate` is called by `troupe migrate` and by tests. Each file beside this one runs once, in a
transaction that first takes the migration's row: when two run at once, one waits for the other
and finds its work done. No advisory lock is needed.
"""

from __future__ import annotations

import re
import time
from importlib import resources

import psycopg
from psycopg import errors

NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
PREPARE_ATTEMPTS = 10
# Two that create the same object at once: the later one fails, and finds it when asked again. (A
# table has a type of its name, so it may be that which is there already.)
RACED = (
    errors.UniqueViolation,
    errors.DuplicateSchema,
    errors.DuplicateTable,
    errors.DuplicateObject,
)


def migrate(dsn: str) -> list[str]:
    """Bring the database up to date. Gives the names of the migrations that ran now. Raises
    `psycopg.Error`; a migration that failed left nothing behind."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        _prepare(connection)
        return [name for name in names() if _apply(connection, name)]


def names() -> list[str]:
    """All migrations, in order."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name for file in files if NAME.fullmatch(file.name))


def _prepare(connection: psycopg.Connection) -> None:
    for attempt in range(PREPARE_ATTEMPTS):
        try:
            connection.execute("CREATE SCHEMA IF NOT EXISTS chat")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS chat.migration"
                " (name text PRIMARY KEY, applied_at timestamptz NOT NULL)"
            )
        except RACED:
            if attempt + 1 == PREPARE_ATTEMPTS:
                raise
            time.sleep(0.05)
        else:
            return


def _apply(connection: psycopg.Connection, name: str) -> bool:
    """Run one migration unless it was run before. Gives whether it ran."""
    done = connection.execute("SELECT 1 FROM chat.migration WHERE name = %s", (name,))
    if done.fetchone() is not None:
        return False
    script = (resources.files(__package__) / name).read_bytes()
    try:
        with connection.transaction():
            connection.execute("INSERT INTO chat.migration VALUES (%s, now())", (name,))
            connection.execute(script)
    except errors.UniqueViolation as error:
        if error.diag.table_name == "migration" and error.diag.schema_name == "chat":
            return False
        raise
    return True
