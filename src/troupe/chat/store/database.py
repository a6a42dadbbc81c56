"""Connections to the database, and what to do when one fails. Knows no table.

Every piece of work given to `run` or `transact` may be run again, so it must be one that writes
nothing the second time if the first did take place after all.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg import AsyncConnection, errors
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from .errors import StoreUnavailable

T = TypeVar("T")
Connection = AsyncConnection[TupleRow]
Work = Callable[[Connection], Awaitable[T]]

# Worth another try at once: the database gave up one of two that stood in each other's way.
CLASHES = (errors.SerializationFailure, errors.DeadlockDetected)
# The server is stopping or starting.
AWAY = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)
FIRST_WAIT_S = 0.01
LONGEST_WAIT_S = 0.5


class Database:
    """A pool of connections, and patience of `patience_s` seconds with a server that is away."""

    def __init__(self, dsn: str, max_connections: int, patience_s: float) -> None:
        self._patience_s = patience_s
        self._checking = False
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=max_connections,
            open=False,
            timeout=patience_s,
            reconnect_timeout=patience_s,
            kwargs={"autocommit": True},
            configure=_configure,
            name="chat-store",
        )

    async def open(self) -> None:
        """Connect. Raises `StoreUnavailable`."""
        try:
            await self._pool.open(wait=True, timeout=self._patience_s)
        except PoolTimeout as error:
            raise StoreUnavailable("no connection to the chat database: is it running?") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def run(self, work: Work[T]) -> T:
        """Do `work` on a connection in autocommit; again when it clashed with another or its
        connection broke. Raises `StoreUnavailable`, or what the database says of the work."""
        deadline = time.monotonic() + self._patience_s
        wait = FIRST_WAIT_S
        while True:
            try:
                async with self._pool.connection(max(0.05, deadline - time.monotonic())) as used:
                    return await work(used)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not _passing(error) or time.monotonic() + wait > deadline:
                    raise _unavailable(error) from error
                if not isinstance(error, CLASHES):
                    await self._drop_broken()
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, LONGEST_WAIT_S)

    async def _drop_broken(self) -> None:
        """Replace connections that broke with the one that was just seen to, as when the server
        restarts. Once is enough for all who saw it."""
        if not self._checking:
            self._checking = True
            try:
                await self._pool.check()
            finally:
                self._checking = False

    async def transact(self, work: Work[T]) -> T:
        """As `run`, in one transaction."""

        async def wrapped(connection: Connection) -> T:
            async with connection.transaction():
                return await work(connection)

        return await self.run(wrapped)

    async def fetch(self, query: str, parameters: Any) -> list[TupleRow]:
        """The rows of one statement."""

        async def work(connection: Connection) -> list[TupleRow]:
            cursor = connection.cursor(binary=True)
            await cursor.execute(query.encode(), parameters)
            return await cursor.fetchall()

        return await self.run(work)


async def _configure(connection: Connection) -> None:
    set_json_loads(orjson.loads, connection)
    # Every statement of the store finds its rows by their keys, whatever the parameters: one plan
    # each does, made once a connection.
    connection.prepare_threshold = 0
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute("SET timezone = 'UTC'")
    # A process that froze in mid-transaction must not hold its chat for ever.
    await connection.execute("SET idle_in_transaction_session_timeout = '10s'")


def _passing(error: psycopg.Error) -> bool:
    """Whether it may be gone in a moment: a clash, a lost connection, a server that restarts."""
    if isinstance(error, (*CLASHES, *AWAY)):
        return True
    if isinstance(error, PoolClosed):
        return False
    return error.sqlstate is None or error.sqlstate.startswith("08")


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"the chat database failed: {type(error).__name__}: {error}")
