"""The lane of appends: new messages of many chats in one statement, each chat's all or none.

One statement is one transaction: it locks the chats against deletion, leaves out what was sent
before and what would take a place that is taken, and writes messages, generations, idempotency
keys and inboxes. Two processes that race for one place make the statement fail as a whole; it is
run again and sees who won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

import orjson
from psycopg import errors

from . import checks, rows
from .database import Connection, Database
from .errors import BadText, ChatNotFound, Conflict
from .group import Job
from .types import Appended, LiveGeneration, Message, MessageKey, State

RACES = 5

# What every append does. The parts below join it only when some append of the batch needs them:
# each costs the server a tenth of what the rest does, even when it has nothing to do.
CHECK = """
WITH entry AS MATERIALIZED (
    SELECT e.*, coalesce((
        SELECT true FROM chat.message m WHERE m.chat_id = e.chat_id AND m.branch = e.branch
        AND m.seq = e.seq AND m.alt = e.alt
    ), (
        SELECT true FROM chat.segment s WHERE s.chat_id = e.chat_id AND s.branch = e.branch
        AND s.last_seq >= e.seq LIMIT 1
    ), false) AS taken
    FROM json_to_recordset(%(entries)s) AS e(
        n int, chat_id uuid, branch int, seq int, alt int, speaker text, state text,
        chosen boolean, body text, created_at timestamptz, meta text,
        owner text, epoch text, started_at timestamptz, ripe boolean)
), item AS MATERIALIZED (
    SELECT i.*, (
        SELECT s.keys FROM chat.sent s WHERE s.chat_id = i.chat_id AND s.client_id = i.client_id
    ) AS seen, coalesce((
        SELECT true FROM chat.chat c WHERE c.chat_id = i.chat_id FOR KEY SHARE
    ), false) AS live, i.n IN (SELECT n FROM entry WHERE taken) AS taken
    FROM json_to_recordset(%(items)s) AS i(
        n int, chat_id uuid, client_id text, keys jsonb, line text, at timestamptz)
), new AS MATERIALIZED (
    SELECT * FROM item WHERE live AND seen IS NULL AND NOT taken
), kept AS (
    INSERT INTO chat.message
        (chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta)
    SELECT e.chat_id, e.branch, e.seq, e.alt, e.speaker, e.state, e.chosen, e.body,
        e.created_at, e.meta::jsonb
    FROM entry e JOIN new ON new.n = e.n
), told AS (
    UPDATE chat.inbox b SET last_line = coalesce(new.line, b.last_line),
        last_at = greatest(b.last_at, new.at)
    FROM new WHERE b.chat_id = new.chat_id
)"""
BEGIN = """, begun AS (
    INSERT INTO chat.generation (chat_id, branch, seq, alt, owner, epoch, started_at)
    SELECT e.chat_id, e.branch, e.seq, e.alt, e.owner, e.epoch, e.started_at
    FROM entry e JOIN new ON new.n = e.n WHERE e.owner IS NOT NULL
)"""
RIPEN = """, ripened AS (
    INSERT INTO chat.ripe (chat_id, branch)
    SELECT DISTINCT e.chat_id, e.branch FROM entry e JOIN new ON new.n = e.n WHERE e.ripe
    ON CONFLICT DO NOTHING
)"""
NOTE = """, noted AS (
    INSERT INTO chat.sent (chat_id, client_id, keys, sent_at)
    SELECT chat_id, client_id, keys, at FROM new WHERE client_id IS NOT NULL
)"""
RESULT = "\nSELECT n, live, seen, taken FROM item"
STATEMENTS = {
    (begin, ripen, note): "".join(
        [CHECK, BEGIN * begin, RIPEN * ripen, NOTE * note, RESULT],
    ).encode()
    for begin, ripen, note in product((False, True), repeat=3)
}

PLACES = b"""
SELECT p.n, m.branch, m.seq, m.alt, m.speaker, m.created_at
FROM json_to_recordset(%s) AS p(n int, chat_id uuid, branch int, seq int, alt int)
JOIN chat.message m ON m.chat_id = p.chat_id AND m.branch = p.branch AND m.seq = p.seq
    AND m.alt = p.alt
"""

Result = tuple[int, bool, list[list[int]] | None, bool]  # item, chat is there, keys seen, taken


@dataclass(slots=True, eq=False, kw_only=True)
class Append(Job):
    """New messages of one chat. `entries` are records of the statement, without their item."""

    messages: tuple[Message, ...]
    entries: list[dict[str, Any]]
    client_id: str | None
    at: datetime

    @property
    def keys(self) -> list[MessageKey]:
        """Where the messages go."""
        return [m.key for m in self.messages]

    @property
    def places(self) -> list[list[int]]:
        """The keys without the chat, as they are kept beside the client's id."""
        return [list(m.key[1:]) for m in self.messages]


def job(
    messages: Sequence[Message],
    client_id: str | None,
    generation: LiveGeneration | None,
    ripe: bool,
    at: datetime,
) -> Append:
    """Check what a caller wants appended. Raises `BadText`, `ValueError`."""
    first = messages[0].key
    if len({m.key for m in messages}) != len(messages) or generation is not None:
        keys = [m.key for m in messages]
        if len(set(keys)) != len(keys):
            raise ValueError("two messages of one append have the same key")
        if generation is not None and generation.key not in keys:
            raise ValueError("the generation writes none of these messages")
    entries = []
    for message in messages:
        if (message.key.chat_id, message.key.branch) != (first.chat_id, first.branch):
            raise ValueError("an append is to one branch of one chat")
        entry = rows.message_json(message) | {"ripe": ripe}
        if message.state is State.STREAMING:
            # Nobody's until somebody claims it, so that it can be recovered in any case.
            entry |= {"owner": "", "epoch": "", "started_at": message.created_at}
            if generation is not None and generation.key == message.key:
                entry |= rows.generation_json(generation)
        entries.append(entry)
    if client_id is not None:
        checks.text(client_id, "a client id", 200)
        if not client_id:
            raise BadText("a client id is empty")
    size = sum(len(e["body"]) + len(e["meta"]) + 400 for e in entries)
    return Append(
        chat_id=first.chat_id,
        size=size,
        messages=tuple(messages),
        entries=entries,
        client_id=client_id,
        at=at,
    )


class Appender:
    """Writes batches of appends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, batch: list[Append]) -> None:
        """Write a batch and tell each caller. It may be written again after a lost connection:
        what the first time did is then recognised by its messages' speakers and times."""
        parameters = {
            "items": orjson.dumps([_item(n, append) for n, append in enumerate(batch)]).decode(),
            "entries": orjson.dumps(
                [{"n": n, **entry} for n, append in enumerate(batch) for entry in append.entries]
            ).decode(),
        }

        statement = _statement(batch)

        async def execute(connection: Connection) -> list[Result]:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall()

        for race in range(RACES):
            try:
                results = await self._database.run(execute)
                break
            except errors.UniqueViolation:
                if race + 1 == RACES:
                    raise
        doubtful: list[tuple[Append, Result]] = []
        for result in results:
            append = batch[result[0]]
            _, found, seen, taken = result
            if not found:
                append.fail(ChatNotFound(str(append.chat_id)))
            elif seen is not None and seen != append.places:
                append.resolve(Appended(_keys(append, seen), True))
            elif seen is not None or taken:
                doubtful.append((append, result))
            else:
                append.resolve(Appended(append.keys, False))
        if doubtful:
            await self._compare(doubtful)

    async def _compare(self, doubtful: list[tuple[Append, Result]]) -> None:
        """See whether what stands in these appends' places is their own."""
        places = [
            {"n": n, **message.key._asdict()}
            for n, (append, _) in enumerate(doubtful)
            for message in append.messages
        ]
        found = await self._database.fetch(PLACES.decode(), (orjson.dumps(places).decode(),))
        there = {(n, branch, seq, alt): tuple(rest) for n, branch, seq, alt, *rest in found}
        for n, (append, (_, _, seen, _)) in enumerate(doubtful):
            if all(
                there.get((n, *m.key[1:])) == (m.speaker, m.created_at) for m in append.messages
            ):
                append.resolve(Appended(append.keys, False))
            elif seen is not None:
                append.resolve(Appended(_keys(append, seen), True))
            else:
                append.fail(Conflict(f"{append.keys[0]} is taken; read the chat again"))


def _statement(batch: list[Append]) -> bytes:
    """The statement of a batch, with the parts that it needs."""
    entries = [entry for append in batch for entry in append.entries]
    return STATEMENTS[
        any("owner" in entry for entry in entries),
        any(entry["ripe"] for entry in entries),
        any(append.client_id is not None for append in batch),
    ]


def _item(n: int, append: Append) -> dict[str, Any]:
    return {
        "n": n,
        "chat_id": append.chat_id,
        "client_id": append.client_id,
        "keys": append.places,
        "line": rows.line_of(append.messages),
        "at": append.at,
    }


def _keys(append: Append, seen: list[list[int]]) -> list[MessageKey]:
    return [MessageKey(append.chat_id, *place) for place in seen]
