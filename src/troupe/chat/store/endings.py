"""The lane of checkpoints and ends: what answers have so far, many in one statement.

A newer checkpoint, or the end, replaces a checkpoint of the same message that still waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import orjson

from . import checks
from .database import Connection, Database
from .errors import ChatNotFound, MessageNotFound
from .group import Job
from .types import MessageKey, State

# An end also corrects INTERRUPTED, which is a guess of others about an owner that was silent.
UPDATE = b"""
WITH item AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS i(
        n int, chat_id uuid, branch int, seq int, alt int, state text, body text, meta text,
        line text, at timestamptz)
), kept AS (
    UPDATE chat.message m SET body = i.body, state = coalesce(i.state, m.state),
        meta = coalesce(i.meta::jsonb, m.meta)
    FROM item i
    WHERE m.chat_id = i.chat_id AND m.branch = i.branch AND m.seq = i.seq AND m.alt = i.alt
        AND (m.state = 'streaming' OR i.state IS NOT NULL AND m.state = 'interrupted')
    RETURNING i.n, i.chat_id, i.branch, i.seq, i.alt, i.state, i.line, i.at
), ended AS (
    DELETE FROM chat.generation g USING kept k
    WHERE g.chat_id = k.chat_id AND g.branch = k.branch AND g.seq = k.seq AND g.alt = k.alt
        AND k.state IS NOT NULL
), told AS (
    UPDATE chat.inbox b SET last_line = coalesce(k.line, b.last_line),
        last_at = greatest(b.last_at, k.at)
    FROM kept k WHERE b.chat_id = k.chat_id AND k.state IS NOT NULL
)
SELECT n FROM kept
"""

THERE = """
SELECT i.n, c.chat_id IS NOT NULL, EXISTS (
    SELECT 1 FROM chat.message m WHERE m.chat_id = i.chat_id AND m.branch = i.branch
    AND m.seq = i.seq AND m.alt = i.alt
) OR EXISTS (
    SELECT 1 FROM chat.segment s WHERE s.chat_id = i.chat_id AND s.branch = i.branch
    AND s.last_seq >= i.seq
)
FROM json_to_recordset(%s) AS i(n int, chat_id uuid, branch int, seq int, alt int)
LEFT JOIN chat.chat c ON c.chat_id = i.chat_id
"""


@dataclass(slots=True, eq=False, kw_only=True)
class Ending(Job):
    """A message's text so far, or with `state` its end."""

    key: MessageKey
    body: str
    state: str | None
    meta: str | None  # JSON
    at: datetime

    def replaces(self, older: Self) -> bool:
        return older.state is None and older.key == self.key

    def record(self, n: int) -> dict[str, Any]:
        """As the statement takes it."""
        return {
            "n": n,
            **self.key._asdict(),
            "state": self.state,
            "body": self.body,
            "meta": self.meta,
            "line": checks.line(self.body) or None,
            "at": self.at,
        }


def checkpoint(key: MessageKey, body: str, at: datetime) -> Ending:
    """Text so far. Raises `BadText`."""
    body = checks.text(body, "a message")
    return Ending(
        chat_id=key.chat_id, size=len(body) + 200, key=key, body=body, state=None, meta=None, at=at
    )


def end(key: MessageKey, state: State, body: str, meta: Mapping[str, Any], at: datetime) -> Ending:
    """A message's end. Raises `BadText`, `ValueError`."""
    if state in (State.STREAMING, State.DELETED):
        raise ValueError(f"{state} is no end of an answer")
    body, meta_json = checks.text(body, "a message"), checks.json(meta, "a message's meta")
    return Ending(
        chat_id=key.chat_id,
        size=len(body) + len(meta_json) + 200,
        key=key,
        body=body,
        state=state.value,
        meta=meta_json,
        at=at,
    )


class Updater:
    """Writes batches of checkpoints and ends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, batch: list[Ending]) -> None:
        """Write a batch and tell each caller. Writing it again changes nothing."""
        items = orjson.dumps([ending.record(n) for n, ending in enumerate(batch)]).decode()

        async def execute(connection: Connection) -> set[int]:
            cursor = await connection.execute(UPDATE, (items,))
            return {row[0] for row in await cursor.fetchall()}

        kept = await self._database.run(execute)
        missed = []
        for n, ending in enumerate(batch):
            if n in kept or ending.state is None:
                ending.resolve(None)
            else:
                missed.append(ending)
        if missed:
            await self._explain(missed)

    async def _explain(self, missed: list[Ending]) -> None:
        """Ends that changed nothing: the message had ended before, or is not there."""
        places = [{"n": n, **ending.key._asdict()} for n, ending in enumerate(missed)]
        found = await self._database.fetch(THERE, (orjson.dumps(places).decode(),))
        for n, chat_there, message_there in found:
            ending = missed[n]
            if message_there:
                ending.resolve(None)
            elif chat_there:
                ending.fail(MessageNotFound(str(ending.key)))
            else:
                ending.fail(ChatNotFound(str(ending.key.chat_id)))
