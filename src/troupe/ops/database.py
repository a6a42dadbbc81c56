"""Which database a command uses, and whether it is fit.

A DSN that is set comes first; else the embedded server, the one that runs or one started for as
long as the command takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troupe.ops.errors import AlreadyRunning, DatabaseError
from troupe.ops.home import Home
from troupe.ops.postgres import address, leftovers, running
from troupe.ops.postgres.binaries import MINIMUM
from troupe.ops.secrets import with_secret_key
from troupe.settings import Settings

if TYPE_CHECKING:
    import psycopg

_CONNECT_S = 5


def complete(settings: Settings) -> Settings:
    """Settings with what a process beside the supervisor needs: the secret key, and the database's
    DSN. Raises `DatabaseError` if there is no database."""
    home = Home(settings.root)
    home.make()
    settings = with_secret_key(settings, home)
    if settings.database_url is not None:
        return settings
    if not _is_up(home):
        raise DatabaseError(
            f"no database runs on {home.root}", "Start `troupe up`, or set TROUPE_DATABASE_URL"
        )
    return settings.model_copy(update={"database_url": address(home.postgres)})


@contextmanager
def at_hand(settings: Settings) -> Iterator[Settings]:
    """Settings of a database that runs: as `complete`, or a server of our own meanwhile."""
    home = Home(settings.root)
    home.make()
    if settings.database_url is not None or _is_up(home):
        yield complete(settings)
        return
    try:
        with running(home.root, settings.postgres_bin) as server:
            secret = with_secret_key(settings, home)
            yield secret.model_copy(update={"database_url": server.dsn})
    except AlreadyRunning as error:
        raise DatabaseError(
            "Troupe is just starting or stopping", "Try again in a moment"
        ) from error


def _is_up(home: Home) -> bool:
    data = home.postgres / "data"
    said = leftovers.read(data)
    return said is not None and said.status == "ready" and said.pid in leftovers.working_in(data)


def check(dsn: str, setting: str = "TROUPE_DATABASE_URL") -> str:
    """The version of the server behind a DSN. Raises `DatabaseError` if it is not fit for use, and
    never repeats the password."""
    import psycopg

    try:
        connection = psycopg.connect(dsn, connect_timeout=_CONNECT_S)
    except psycopg.ProgrammingError as error:
        raise DatabaseError(
            f"{setting} is not a PostgreSQL DSN: {_first_line(error)}",
            "It looks like postgresql://user:password@host:5432/database",
        ) from error
    except psycopg.OperationalError as error:
        raise DatabaseError(
            f"the database of {setting} cannot be reached: {_first_line(error)}",
            "Check host, port, user, password and that the database exists",
        ) from error
    with connection:
        _check_fitness(connection, setting)
        return connection.info.parameter_status("server_version") or "unknown"


def _check_fitness(connection: psycopg.Connection, setting: str) -> None:
    major = connection.info.server_version // 10000
    if major < MINIMUM:
        raise DatabaseError(
            f"the server of {setting} is PostgreSQL {major}; Troupe needs {MINIMUM} or later",
            "Upgrade it, or unset the variable to use the embedded one",
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseError(
            f"the database of {setting} is encoded in {encoding}; Troupe needs UTF8",
            "Create one with ENCODING 'UTF8' TEMPLATE template0",
        )
    row = connection.execute("SELECT has_schema_privilege('public', 'CREATE')").fetchone()
    if row is None or not row[0]:
        raise DatabaseError(
            f"the user of {setting} may not create tables in the schema public",
            "GRANT CREATE ON SCHEMA public TO that user, or make it the database's owner",
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
