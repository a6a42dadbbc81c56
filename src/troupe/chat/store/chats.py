"""A chat's own rows: making it, its title, meta, members. One statement each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import errors

from . import checks, rows
from .database import Connection, Database
from .errors import ChatNotFound, Conflict
from .types import ROOT, Branch, Chat, Member, Message

MAX_MEMBERS = 1000

CREATE = """
WITH made AS (
    INSERT INTO chat.chat (chat_id, title, active_branch, last_branch, created_at, meta)
    VALUES (%(chat)s, %(title)s, 0, 0, %(at)s, %(meta)s::text::jsonb)
), rooted AS (
    INSERT INTO chat.branch (chat_id, branch, parent, fork_seq, fork_alt, created_at)
    VALUES (%(chat)s, 0, NULL, 0, 0, %(at)s)
), joined AS (
    INSERT INTO chat.member (chat_id, speaker, place, name, version_id, persona_id)
    SELECT %(chat)s, speaker, place, name, version_id, persona_id
    FROM json_to_recordset(%(members)s) AS m(
        speaker text, place int, name text, version_id uuid, persona_id uuid)
), listed AS (
    INSERT INTO chat.inbox (chat_id, speaker, last_at, last_line)
    SELECT %(chat)s, speaker, %(at)s, %(line)s FROM unnest(%(users)s::text[]) AS u(speaker)
)
INSERT INTO chat.message (chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta)
SELECT %(chat)s, branch, seq, alt, speaker, state, chosen, body, created_at, meta::jsonb
FROM json_to_recordset(%(messages)s) AS e(branch int, seq int, alt int, speaker text, state text,
    chosen boolean, body text, created_at timestamptz, meta text)
"""
CREATED_AT = "SELECT created_at FROM chat.chat WHERE chat_id = %s"
RENAME = "UPDATE chat.chat SET title = %s WHERE chat_id = %s"
ACTIVATE = "UPDATE chat.chat SET active_branch = %s WHERE chat_id = %s"
SET_META = "UPDATE chat.chat SET meta = (meta || %s::text::jsonb) - %s::text[] WHERE chat_id = %s"
SET_MEMBER = """
WITH live AS (
    SELECT chat_id FROM chat.chat WHERE chat_id = %(chat)s FOR KEY SHARE
), listed AS (
    INSERT INTO chat.inbox (chat_id, speaker, last_at, last_line)
    SELECT chat_id, %(speaker)s, %(at)s, '' FROM live WHERE %(user)s
    ON CONFLICT (chat_id, speaker) DO NOTHING
)
INSERT INTO chat.member (chat_id, speaker, place, name, version_id, persona_id)
SELECT chat_id, %(speaker)s,
    (SELECT coalesce(max(place) + 1, 0) FROM chat.member WHERE chat_id = %(chat)s),
    %(name)s, %(version_id)s, %(persona_id)s FROM live
ON CONFLICT (chat_id, speaker) DO UPDATE SET name = excluded.name,
    version_id = excluded.version_id, persona_id = excluded.persona_id
"""


def new_chat(
    chat_id: UUID, title: str, members: Sequence[Member], meta: dict[str, Any], at: datetime
) -> Chat:
    """A chat that is not kept yet. Raises `ValueError`."""
    if len({m.speaker for m in members}) != len(members) or len(members) > MAX_MEMBERS:
        raise ValueError(f"members are up to {MAX_MEMBERS} different speakers")
    return Chat(chat_id, title, ROOT, tuple(members), (Branch(ROOT, None, 0, 0, at),), at, meta)


async def create(database: Database, chat: Chat, first: Sequence[Message]) -> None:
    """Keep a new chat. Raises `Conflict`, `BadText`, `ValueError`."""
    if any(m.key[:3] != (chat.chat_id, ROOT, 0) for m in first):
        raise ValueError("the first messages are candidates of turn 0 of the root branch")
    shown = next((m for m in first if m.chosen), None)
    parameters = {
        "chat": chat.chat_id,
        "title": checks.text(chat.title, "a title", 1000),
        "at": chat.created_at,
        "meta": checks.json(chat.meta, "a chat's meta"),
        "line": checks.line(shown.body) if shown else "",
        "users": [m.speaker for m in chat.members if rows.is_user(m.speaker)],
        "members": _dump([rows.member_json(m, place) for place, m in enumerate(chat.members)]),
        "messages": _dump([rows.message_json(m) for m in first]),
    }

    async def work(connection: Connection) -> None:
        try:
            await connection.execute(CREATE, parameters)
        except errors.UniqueViolation as error:
            cursor = await connection.execute(CREATED_AT, (chat.chat_id,))
            if await cursor.fetchone() != (chat.created_at,):  # else an earlier try took place
                raise Conflict(f"there is a chat {chat.chat_id} already") from error

    await database.run(work)


async def rename(database: Database, chat_id: UUID, title: str) -> None:
    """Give a chat another title. Raises `ChatNotFound`, `BadText`."""
    await _change(database, chat_id, RENAME, (checks.text(title, "a title", 1000), chat_id))


async def activate(database: Database, chat_id: UUID, branch: int) -> None:
    """Show this branch first. Raises `ChatNotFound`."""
    await _change(database, chat_id, ACTIVATE, (branch, chat_id))


async def set_meta(database: Database, chat_id: UUID, meta: dict[str, Any]) -> None:
    """Merge keys into a chat's meta. Raises `ChatNotFound`, `BadText`."""
    kept = {key: value for key, value in meta.items() if value is not None}
    gone = [checks.text(key, "a key") for key, value in meta.items() if value is None]
    await _change(database, chat_id, SET_META, (checks.json(kept, "a chat's meta"), gone, chat_id))


async def set_member(database: Database, chat_id: UUID, member: Member, at: datetime) -> None:
    """Add or replace a member. Raises `ChatNotFound`, `BadText`."""
    parameters = {
        **rows.member_json(member, 0),
        "chat": chat_id,
        "at": at,
        "user": rows.is_user(member.speaker),
    }
    await _change(database, chat_id, SET_MEMBER, parameters)


async def _change(database: Database, chat_id: UUID, statement: str, parameters: Any) -> None:
    async def work(connection: Connection) -> None:
        cursor = await connection.execute(statement.encode(), parameters)
        if cursor.rowcount == 0:
            raise ChatNotFound(str(chat_id))

    await database.run(work)


def _dump(records: list[dict[str, Any]]) -> str:
    return orjson.dumps(records).decode()
