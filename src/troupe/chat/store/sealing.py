"""Sealing: settled turns become compressed segments, and what touches a sealed turn later.

A branch is sealed in one transaction that holds its chat's row against every other change but
appends. The newest turns stay rows, so appends, ends and swipes never meet a segment.
"""

from __future__ import annotations

from itertools import groupby
from uuid import UUID

import orjson

from . import rows, segments
from .database import Connection, Database
from .types import Message, State

RIPE = "SELECT chat_id, branch FROM chat.ripe ORDER BY chat_id, branch LIMIT %s"
LOCK = "SELECT 1 FROM chat.chat WHERE chat_id = %s FOR NO KEY UPDATE"
UNRIPE = "DELETE FROM chat.ripe WHERE chat_id = %s AND branch = %s"
FORGET_SENT = """
DELETE FROM chat.sent WHERE chat_id = %s AND sent_at < now() - make_interval(days => %s)
"""
UNSEALED = """
SELECT branch, seq, alt, speaker, state, chosen, body, created_at, meta::text
FROM chat.message
WHERE chat_id = %(chat)s AND branch = %(branch)s AND seq > coalesce(
    (SELECT max(last_seq) FROM chat.segment WHERE chat_id = %(chat)s AND branch = %(branch)s), -1)
ORDER BY seq, alt
"""
SEAL = """
INSERT INTO chat.segment (chat_id, branch, last_seq, first_seq, codec, body)
VALUES (%s, %s, %s, %s, %s, %s)
"""
DROP_ROWS = """
DELETE FROM chat.message WHERE chat_id = %s AND branch = %s AND seq BETWEEN %s AND %s
"""
COVERING = """
SELECT first_seq, last_seq, codec, body FROM chat.segment
WHERE chat_id = %s AND branch = %s AND last_seq >= %s ORDER BY last_seq LIMIT 1
"""
DROP_SEGMENT = "DELETE FROM chat.segment WHERE chat_id = %s AND branch = %s AND last_seq = %s"
REWRITE = """
UPDATE chat.segment SET body = %s, codec = %s WHERE chat_id = %s AND branch = %s AND last_seq = %s
"""
UNSEAL = """
INSERT INTO chat.message (chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta)
SELECT chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta::jsonb
FROM json_to_recordset(%s) AS e(chat_id uuid, branch int, seq int, alt int, speaker text,
    state text, chosen boolean, body text, created_at timestamptz, meta text)
"""
RIPEN = "INSERT INTO chat.ripe (chat_id, branch) VALUES (%s, %s) ON CONFLICT DO NOTHING"

SENT_DAYS = 30  # how long sending the same again is recognised


class Sealer:
    """Seals what is ripe."""

    def __init__(self, database: Database, sizes: segments.Sizes) -> None:
        self._database = database
        self._sizes = sizes

    async def seal(self, limit: int) -> int:
        """Seal up to `limit` branches. Gives the number of segments written."""
        ripe = await self._database.fetch(RIPE, (limit,))
        written = 0
        for chat_id, branch in ripe:
            written += await self._seal_branch(chat_id, branch)
        return written

    async def _seal_branch(self, chat_id: UUID, branch: int) -> int:
        async def work(connection: Connection) -> int:
            await connection.execute(LOCK, (chat_id,))
            cursor = await connection.execute(UNSEALED, {"chat": chat_id, "branch": branch})
            messages = [rows.message_of(chat_id, row) for row in await cursor.fetchall()]
            full, waits = full_segments(messages, self._sizes)
            for first, last, members in full:
                await connection.execute(DROP_ROWS, (chat_id, branch, first, last))
                body = segments.encode(members)
                await connection.execute(
                    SEAL, (chat_id, branch, last, first, segments.ZSTD_JSON, body)
                )
            if not waits:
                await connection.execute(UNRIPE, (chat_id, branch))
            await connection.execute(FORGET_SENT, (chat_id, SENT_DAYS))
            return len(full)

        return await self._database.transact(work)


def full_segments(
    messages: list[Message], sizes: segments.Sizes
) -> tuple[list[tuple[int, int, list[Message]]], bool]:
    """Cut a branch's rows, in order, into full segments: first and last turn, and what is kept of
    them. Also whether turns that are still written hold up more."""
    turns = [(seq, list(row)) for seq, row in groupby(messages, key=lambda m: m.key.seq)]
    settled = turns[: max(0, len(turns) - sizes.keep)]
    full: list[tuple[int, int, list[Message]]] = []
    for start in range(0, len(settled) - sizes.turns + 1, sizes.turns):
        chunk = settled[start : start + sizes.turns]
        members = [m for _, row in chunk for m in row]
        if any(m.state is State.STREAMING for m in members):
            return full, True
        alive = [m for m in members if m.state is not State.DELETED]
        full.append((chunk[0][0], chunk[-1][0], alive))
    return full, False


async def sealed_turn(
    connection: Connection, chat_id: UUID, branch: int, seq: int
) -> list[Message]:
    """What a segment holds of a turn."""
    cursor = await connection.execute(COVERING, (chat_id, branch, seq))
    row = await cursor.fetchone()
    if row is None or seq < row[0]:
        return []
    sealed = segments.decode(chat_id, branch, row[2], row[3])
    return [m for m in sealed if m.key.seq == seq]


async def erase_sealed(
    connection: Connection, chat_id: UUID, branch: int, seq: int
) -> list[Message]:
    """Write the segment that holds a turn anew, without it. Gives what was erased. The chat's row
    must be locked."""
    cursor = await connection.execute(COVERING, (chat_id, branch, seq))
    row = await cursor.fetchone()
    if row is None or seq < row[0]:
        return []
    sealed = segments.decode(chat_id, branch, row[2], row[3])
    body = segments.encode(m for m in sealed if m.key.seq != seq)
    await connection.execute(REWRITE, (body, segments.ZSTD_JSON, chat_id, branch, row[1]))
    return [m for m in sealed if m.key.seq == seq]


async def unseal(connection: Connection, chat_id: UUID, branch: int, seq: int) -> None:
    """Make the segment that holds a turn rows again, so that the turn can change. The chat's row
    must be locked."""
    cursor = await connection.execute(COVERING, (chat_id, branch, seq))
    row = await cursor.fetchone()
    if row is None or seq < row[0]:
        return
    sealed = segments.decode(chat_id, branch, row[2], row[3])
    records = orjson.dumps([rows.message_json(m) for m in sealed]).decode()
    await connection.execute(DROP_SEGMENT, (chat_id, branch, row[1]))
    await connection.execute(UNSEAL, (records,))
    await connection.execute(RIPEN, (chat_id, branch))
