"""Answers whose writer died: heartbeats of owners, and settling what the silent ones left."""

from __future__ import annotations

from .database import Connection, Database

AT_A_TIME = 500
FORGOTTEN_AFTER = 100  # stale periods until a silent owner's row goes

BEAT = """
INSERT INTO chat.owner (owner, seen_at) VALUES (%s, now())
ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at
"""

# Who is dead: this instance's earlier incarnations, owners that fell silent, owners that never
# spoke, and answers that nobody claimed.
RECOVER = """
WITH dead AS MATERIALIZED (
    SELECT g.chat_id, g.branch, g.seq, g.alt FROM chat.generation g
    LEFT JOIN chat.owner o ON o.owner = g.owner
    WHERE g.owner <> %(me)s AND (
        left(g.owner, length(%(instance)s::text)) = %(instance)s
        OR coalesce(o.seen_at, g.started_at) < now() - make_interval(secs => %(stale)s))
    ORDER BY g.chat_id, g.branch, g.seq, g.alt LIMIT %(many)s
), settled AS (
    UPDATE chat.message m SET state = 'interrupted' FROM dead d
    WHERE m.chat_id = d.chat_id AND m.branch = d.branch AND m.seq = d.seq AND m.alt = d.alt
        AND m.state = 'streaming'
    RETURNING m.chat_id, left(m.body, %(line)s) AS line
), told AS (
    UPDATE chat.inbox b SET last_line = s.line FROM settled s
    WHERE b.chat_id = s.chat_id AND s.line <> ''
), ended AS (
    DELETE FROM chat.generation g USING dead d
    WHERE g.chat_id = d.chat_id AND g.branch = d.branch AND g.seq = d.seq AND g.alt = d.alt
    RETURNING 1
)
SELECT (SELECT count(*) FROM settled), (SELECT count(*) FROM ended)
"""

FORGET = "DELETE FROM chat.owner WHERE owner = ANY(%s)"
SILENT = """
SELECT owner FROM chat.owner o WHERE seen_at < now() - make_interval(secs => %s)
AND NOT EXISTS (SELECT 1 FROM chat.generation g WHERE g.owner = o.owner)
"""
ANY_LIVE = "SELECT 1 FROM chat.generation LIMIT 1"


class Recovery:
    """Heartbeats and what follows when they cease."""

    def __init__(self, database: Database, line: int) -> None:
        self._database = database
        self._line = line

    async def heartbeat(self, owner: str) -> None:
        """Say that an owner is alive."""

        async def work(connection: Connection) -> None:
            await connection.execute(BEAT, (owner,))

        await self._database.run(work)

    async def recover(self, instance: str, incarnation: str, stale_after_s: float) -> int:
        """Settle what dead owners left. Gives how many answers."""
        total = 0
        parameters = {
            "me": f"{instance}/{incarnation}",
            "instance": f"{instance}/",
            "stale": float(stale_after_s),
            "many": AT_A_TIME,
            "line": self._line,
        }

        async def work(connection: Connection) -> tuple[int, int]:
            cursor = await connection.execute(RECOVER, parameters)
            row = await cursor.fetchone()
            assert row is not None
            return row[0], row[1]

        while await self._database.fetch(ANY_LIVE, ()):
            settled, ended = await self._database.run(work)
            total += settled
            if ended < AT_A_TIME:
                break
        await self._forget(stale_after_s * FORGOTTEN_AFTER)
        return total

    async def _forget(self, silent_s: float) -> None:
        silent = [row[0] for row in await self._database.fetch(SILENT, (silent_s,))]
        if silent:

            async def work(connection: Connection) -> None:
                await connection.execute(FORGET, (silent,))

            await self._database.run(work)
