"""Changes to a chat's tree: candidates, choices, forks, erasures. One transaction each.

Each locks its chat's row first, against appends too, so what it sees stays true until it commits.
Each may run again after a lost connection and then finds its own work done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import orjson

from . import rows
from .database import Connection
from .errors import ChatNotFound, Conflict, MessageNotFound
from .sealing import erase_sealed, sealed_turn, unseal
from .tree import path_of
from .types import Branch, LiveGeneration, Message, MessageKey, State

LOCK = "SELECT 1 FROM chat.chat WHERE chat_id = %s FOR UPDATE"
TURN = """
SELECT branch, seq, alt, speaker, state, chosen, body, created_at, meta::text FROM chat.message
WHERE chat_id = %s AND branch = %s AND seq = %s ORDER BY alt
"""
FOLLOWED = """
SELECT EXISTS (SELECT 1 FROM chat.message
        WHERE chat_id = %(chat)s AND branch = %(branch)s AND seq > %(seq)s AND state <> 'deleted')
    OR EXISTS (SELECT 1 FROM chat.segment
        WHERE chat_id = %(chat)s AND branch = %(branch)s AND first_seq > %(seq)s)
    OR EXISTS (SELECT 1 FROM chat.branch
        WHERE chat_id = %(chat)s AND parent = %(branch)s AND fork_seq > %(seq)s + 1)
"""
UNCHOOSE = """
UPDATE chat.message SET chosen = false
WHERE chat_id = %s AND branch = %s AND seq = %s AND chosen
"""
CHOOSE = """
UPDATE chat.message SET chosen = (alt = %s) WHERE chat_id = %s AND branch = %s AND seq = %s
"""
ADD = """
INSERT INTO chat.message (chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta)
SELECT chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta::jsonb
FROM json_to_record(%s) AS e(chat_id uuid, branch int, seq int, alt int, speaker text,
    state text, chosen boolean, body text, created_at timestamptz, meta text)
"""
BEGIN = """
INSERT INTO chat.generation (chat_id, branch, seq, alt, owner, epoch, started_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (chat_id, branch, seq, alt) DO UPDATE
SET owner = excluded.owner, epoch = excluded.epoch, started_at = excluded.started_at
"""
WRITER = """
SELECT epoch FROM chat.generation WHERE chat_id = %s AND branch = %s AND seq = %s AND alt = %s
"""
STREAM = """
UPDATE chat.message SET state = 'streaming'
WHERE chat_id = %s AND branch = %s AND seq = %s AND alt = %s
"""
FORKED = """
SELECT branch FROM chat.branch WHERE chat_id = %s AND parent = %s AND created_at = %s
"""
NEXT_BRANCH = """
UPDATE chat.chat SET last_branch = last_branch + 1, active_branch = last_branch + 1
WHERE chat_id = %s RETURNING last_branch
"""
FORK = """
INSERT INTO chat.branch (chat_id, branch, parent, fork_seq, fork_alt, created_at)
VALUES (%s, %s, %s, %s, %s, %s)
"""
ERASE = """
UPDATE chat.message SET state = 'deleted', body = '', meta = '{}', chosen = false
WHERE chat_id = %s AND branch = %s AND seq = %s
"""
ERASE_GENERATION = """
DELETE FROM chat.generation WHERE chat_id = %s AND branch = %s AND seq = %s
"""
TELL = "UPDATE chat.inbox SET last_line = coalesce(%s, last_line), last_at = %s WHERE chat_id = %s"
ERASE_LINE = "UPDATE chat.inbox SET last_line = '' WHERE chat_id = %s AND last_line = ANY(%s)"
DELETE = (
    "DELETE FROM chat.message WHERE chat_id = %s",
    "DELETE FROM chat.segment WHERE chat_id = %s",
    "DELETE FROM chat.branch WHERE chat_id = %s",
    "DELETE FROM chat.member WHERE chat_id = %s",
    "DELETE FROM chat.inbox WHERE chat_id = %s",
    "DELETE FROM chat.sent WHERE chat_id = %s",
    "DELETE FROM chat.generation WHERE chat_id = %s",
    "DELETE FROM chat.ripe WHERE chat_id = %s",
    "DELETE FROM chat.chat WHERE chat_id = %s",
)


async def lock(connection: Connection, chat_id: UUID) -> None:
    """Hold a chat against every other change. Raises `ChatNotFound`."""
    cursor = await connection.execute(LOCK, (chat_id,))
    if await cursor.fetchone() is None:
        raise ChatNotFound(str(chat_id))


async def add_candidate(
    connection: Connection, message: Message, generation: LiveGeneration | None, at: datetime
) -> MessageKey:
    """Add a candidate to a turn that is there. Raises `MessageNotFound`."""
    chat_id, branch, seq, _ = message.key
    await lock(connection, chat_id)
    there = await _rows(connection, chat_id, branch, seq)
    there += await sealed_turn(connection, chat_id, branch, seq)
    if all(m.state is State.DELETED for m in there):
        raise MessageNotFound(f"chat {chat_id} has no turn {seq} on branch {branch}")
    for other in there:
        if (other.speaker, other.created_at) == (message.speaker, message.created_at):
            return other.key
    key = message.key._replace(alt=1 + max(m.key.alt for m in there))
    chosen = message.chosen and not await _followed(connection, key)
    if chosen:
        await unseal(connection, chat_id, branch, seq)
        await connection.execute(UNCHOOSE, (chat_id, branch, seq))
    added = message._replace(key=key, chosen=chosen)
    await connection.execute(ADD, (orjson.dumps(rows.message_json(added)).decode(),))
    if message.state is State.STREAMING:
        writer = generation or LiveGeneration(key, "", "", message.created_at)
        await connection.execute(BEGIN, (*key, writer.owner, writer.epoch, writer.started_at))
    elif chosen:
        await connection.execute(TELL, (rows.line_of([message]), at, chat_id))
    return key


async def choose(connection: Connection, key: MessageKey) -> None:
    """Choose a candidate of a branch's last turn. Raises `MessageNotFound`, `Conflict`."""
    await lock(connection, key.chat_id)
    await _last_candidate(connection, key)
    await connection.execute(CHOOSE, (key.alt, key.chat_id, key.branch, key.seq))


async def reopen(connection: Connection, key: MessageKey, generation: LiveGeneration) -> Message:
    """Make a settled last answer STREAMING again. Raises `MessageNotFound`, `Conflict`."""
    await lock(connection, key.chat_id)
    message = await _last_candidate(connection, key)
    if message.state is State.STREAMING:
        cursor = await connection.execute(WRITER, tuple(key))
        if await cursor.fetchone() != (generation.epoch,):
            raise Conflict(f"{key} is being written; wait until it has ended")
        return message
    await connection.execute(STREAM, tuple(key))
    await connection.execute(
        BEGIN, (*key, generation.owner, generation.epoch, generation.started_at)
    )
    return message._replace(state=State.STREAMING)


async def fork(
    connection: Connection,
    chat_id: UUID,
    branches: Mapping[int, Branch],
    parent: int,
    follows: tuple[int, int],
    at: datetime,
) -> Branch:
    """A new branch after candidate `follows` (seq, alt) of the parent's path; it becomes the
    active one. Raises `MessageNotFound`."""
    seq, alt = follows
    await lock(connection, chat_id)
    owner = next((s.branch for s in path_of(branches, parent).spans if s.low <= seq < s.high), None)
    there: list[Message] = []
    if owner is not None:
        there = await _rows(connection, chat_id, owner, seq)
        there += await sealed_turn(connection, chat_id, owner, seq)
    if not any(m.key.alt == alt and m.state is not State.DELETED for m in there):
        raise MessageNotFound(f"branch {parent} of chat {chat_id} shows no message {seq}.{alt}")
    cursor = await connection.execute(FORKED, (chat_id, parent, at))
    made = await cursor.fetchone()
    if made is None:
        cursor = await connection.execute(NEXT_BRANCH, (chat_id,))
        made = await cursor.fetchone()
        assert made is not None
        await connection.execute(FORK, (chat_id, made[0], parent, seq + 1, alt, at))
    return Branch(made[0], parent, seq + 1, alt, at)


async def erase_turn(connection: Connection, chat_id: UUID, branch: int, seq: int) -> None:
    """Overwrite every candidate of a turn, and what inboxes show of it. Raises
    `MessageNotFound`."""
    await lock(connection, chat_id)
    there = await _rows(connection, chat_id, branch, seq)
    erased = there + await erase_sealed(connection, chat_id, branch, seq)
    if not erased and not await _covered(connection, chat_id, branch, seq):
        raise MessageNotFound(f"chat {chat_id} has no turn {seq} on branch {branch}")
    await connection.execute(ERASE, (chat_id, branch, seq))
    await connection.execute(ERASE_GENERATION, (chat_id, branch, seq))
    lines = [line for m in erased if (line := rows.line_of([m]))]
    await connection.execute(ERASE_LINE, (chat_id, lines))


async def delete_chat(connection: Connection, chat_id: UUID) -> None:
    """Delete a chat and all that is its. Raises `ChatNotFound`."""
    await lock(connection, chat_id)
    for statement in DELETE:
        await connection.execute(statement.encode(), (chat_id,))


async def _rows(connection: Connection, chat_id: UUID, branch: int, seq: int) -> list[Message]:
    cursor = await connection.execute(TURN, (chat_id, branch, seq))
    return [rows.message_of(chat_id, row) for row in await cursor.fetchall()]


async def _covered(connection: Connection, chat_id: UUID, branch: int, seq: int) -> bool:
    """Whether a segment spans a turn, though it holds nothing of it any more."""
    cursor = await connection.execute(
        "SELECT 1 FROM chat.segment WHERE chat_id = %s AND branch = %s AND last_seq >= %s"
        " AND first_seq <= %s",
        (chat_id, branch, seq, seq),
    )
    return await cursor.fetchone() is not None


async def _followed(connection: Connection, key: MessageKey) -> bool:
    """Whether turns follow, on the branch or on one that hangs further down."""
    place = {"chat": key.chat_id, "branch": key.branch, "seq": key.seq}
    cursor = await connection.execute(FOLLOWED, place)
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def _last_candidate(connection: Connection, key: MessageKey) -> Message:
    """A candidate of a branch's last turn, as a row. Raises `MessageNotFound`, `Conflict`."""
    there = await _rows(connection, key.chat_id, key.branch, key.seq)
    there += await sealed_turn(connection, key.chat_id, key.branch, key.seq)
    message = next((m for m in there if m.key == key and m.state is not State.DELETED), None)
    if message is None:
        raise MessageNotFound(str(key))
    if await _followed(connection, key):
        raise Conflict(f"turns follow {key}; branch from it instead")
    await unseal(connection, key.chat_id, key.branch, key.seq)
    return message
