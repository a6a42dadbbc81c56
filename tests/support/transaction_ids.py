"""How many transaction ids a piece of work uses, seen from a second connection.

A PostgreSQL has about two thousand million of them between freezes, so a platform that spends one
a message or a view stops one day. Reads must spend none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg

_TRIES = 30


async def transaction_ids(dsn: str, work: Callable[[], Awaitable[object]], most: int) -> int:
    """The fewest ids that the server gave out while `work` ran, over several runs.

    Ids are the whole server's, so whatever else runs on it adds to the count and never takes from
    it. The first run that needs at most `most` settles it.

        assert await transaction_ids(database_url, lambda: browser.get("/x"), most=0) == 0
    """
    fewest: int | None = None
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as watcher:
        for _ in range(_TRIES):
            before = await _next_id(watcher)
            await work()
            used = await _next_id(watcher) - before
            fewest = used if fewest is None else min(fewest, used)
            if fewest <= most:
                break
    assert fewest is not None
    return fewest


async def _next_id(connection: psycopg.AsyncConnection) -> int:
    """The first id that was not yet given out. Asking takes none."""
    cursor = await connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
