"""Reading: chats, paths, inboxes. One statement each, in autocommit: no transaction ids.

Branches never change once made, so they are kept in memory and a path costs one statement: one
range scan a branch over rows and one over segments.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from . import segments
from .database import Database
from .errors import ChatNotFound, MessageNotFound
from .rows import STATES, branches_of, members_of
from .tree import path_of, turns_of
from .types import Branch, Chat, InboxEntry, LiveGeneration, Message, MessageKey, Turn

KNOWN_CHATS = 20_000
LONGEST_INBOX = 500

CHAT = """
SELECT c.title, c.active_branch, c.created_at, c.meta,
    (SELECT json_agg(m ORDER BY m.place, m.speaker) FROM chat.member m
        WHERE m.chat_id = c.chat_id),
    (SELECT json_agg(b ORDER BY b.branch) FROM chat.branch b WHERE b.chat_id = c.chat_id)
FROM chat.chat c WHERE c.chat_id = %s
"""

# `edge` is the oldest turn to read: given, or so many turns before the end of the branch.
PATH = """
WITH edge AS MATERIALIZED (
    SELECT coalesce(%(floor)s::int, 1 - %(limit)s::int + greatest(
        (SELECT max(seq) FROM chat.message WHERE chat_id = %(chat)s AND branch = %(branch)s),
        (SELECT max(last_seq) FROM chat.segment WHERE chat_id = %(chat)s AND branch = %(branch)s),
        %(low)s::int - 1)) AS floor
)
SELECT m.branch, m.seq, m.alt, m.speaker, m.state, m.chosen, m.body, m.created_at, m.meta::text,
    NULL::smallint, NULL::bytea, edge.floor
FROM edge CROSS JOIN unnest(%(branches)s::int[], %(lows)s::int[], %(highs)s::int[])
    AS s(branch, low, high)
JOIN chat.message m ON m.chat_id = %(chat)s AND m.branch = s.branch
    AND m.seq >= greatest(s.low, edge.floor) AND m.seq < s.high
UNION ALL
SELECT g.branch, g.last_seq, 0, NULL, NULL, NULL, NULL, NULL, NULL, g.codec, g.body, edge.floor
FROM edge CROSS JOIN unnest(%(branches)s::int[], %(lows)s::int[], %(highs)s::int[])
    AS s(branch, low, high)
JOIN chat.segment g ON g.chat_id = %(chat)s AND g.branch = s.branch
    AND g.last_seq >= greatest(s.low, edge.floor) AND g.first_seq < s.high
"""

NEXT_SEQ = """
SELECT greatest(
    (SELECT max(seq) FROM chat.message WHERE chat_id = %(chat)s AND branch = %(branch)s) + 1,
    (SELECT max(last_seq) FROM chat.segment WHERE chat_id = %(chat)s AND branch = %(branch)s) + 1,
    (SELECT fork_seq FROM chat.branch WHERE chat_id = %(chat)s AND branch = %(branch)s))
FROM chat.chat WHERE chat_id = %(chat)s
"""

INBOX = """
SELECT i.chat_id, c.title, i.last_line, i.last_at,
    (SELECT json_agg(m ORDER BY m.place, m.speaker) FROM chat.member m
        WHERE m.chat_id = i.chat_id)
FROM chat.inbox i JOIN chat.chat c ON c.chat_id = i.chat_id
WHERE i.speaker = %s AND i.last_at < %s ORDER BY i.last_at DESC LIMIT %s
"""

GENERATION = """
SELECT owner, epoch, started_at FROM chat.generation
WHERE chat_id = %s AND branch = %s AND seq = %s AND alt = %s AND owner <> ''
"""

FAR_FUTURE = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


class Reader:
    """Reads of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._branches: OrderedDict[UUID, dict[int, Branch]] = OrderedDict()

    async def chat(self, chat_id: UUID) -> Chat:
        """A chat, its members and branches. Raises `ChatNotFound`."""
        found = await self._database.fetch(CHAT, (chat_id,))
        if not found:
            self.forget(chat_id)
            raise ChatNotFound(str(chat_id))
        title, active, created_at, meta, members, branches = found[0]
        chat = Chat(
            chat_id, title, active, members_of(members), branches_of(branches), created_at, meta
        )
        self.remember(chat_id, chat.branches)
        return chat

    async def path(
        self, chat_id: UUID, branch: int, before: int | None, limit: int | None
    ) -> list[Turn]:
        """The last `limit` turns before `before`. Erased turns leave holes, so that it may take a
        second look, further back."""
        turns: list[Turn] = []
        branches = await self.branches(chat_id, branch)
        while limit is None or len(turns) < limit:
            missing = None if limit is None else limit - len(turns)
            older, floor = await self._page(chat_id, branches, branch, before, missing)
            turns[:0] = older
            if floor <= 0:
                break
            before = floor
        if not turns:
            await self.chat(chat_id)
        return turns

    async def next_seq(self, chat_id: UUID, branch: int) -> int:
        """The number of the turn that would be appended next."""
        await self.branches(chat_id, branch)
        found = await self._database.fetch(NEXT_SEQ, {"chat": chat_id, "branch": branch})
        if not found:
            raise ChatNotFound(str(chat_id))
        return int(found[0][0])

    async def inbox(self, speaker: str, before: datetime | None, limit: int) -> list[InboxEntry]:
        """A user's chats, most recently active first."""
        limit = min(limit, LONGEST_INBOX)
        found = await self._database.fetch(INBOX, (speaker, before or FAR_FUTURE, limit))
        return [
            InboxEntry(chat_id, title, line, at, members_of(members))
            for chat_id, title, line, at, members in found
        ]

    async def generation(self, key: MessageKey) -> LiveGeneration | None:
        """Who writes this answer, if anyone."""
        found = await self._database.fetch(GENERATION, tuple(key))
        return LiveGeneration(key, *found[0]) if found else None

    async def branches(self, chat_id: UUID, branch: int) -> Mapping[int, Branch]:
        """The branches of a chat, `branch` among them. Raises `ChatNotFound`, and
        `MessageNotFound` if it has no such branch."""
        known = self._branches.get(chat_id)
        if known is None or branch not in known:
            await self.chat(chat_id)
            known = self._branches[chat_id]
            if branch not in known:
                raise MessageNotFound(f"chat {chat_id} has no branch {branch}")
        else:
            self._branches.move_to_end(chat_id)
        return known

    def remember(self, chat_id: UUID, branches: Sequence[Branch]) -> None:
        """Keep branches that were read or made."""
        self._branches.setdefault(chat_id, {}).update((b.branch, b) for b in branches)
        self._branches.move_to_end(chat_id)
        while len(self._branches) > KNOWN_CHATS:
            self._branches.popitem(last=False)

    def forget(self, chat_id: UUID) -> None:
        """A chat is gone."""
        self._branches.pop(chat_id, None)

    async def _page(
        self,
        chat_id: UUID,
        branches: Mapping[int, Branch],
        branch: int,
        before: int | None,
        limit: int | None,
    ) -> tuple[list[Turn], int]:
        """Turns between a floor and `before`, and that floor."""
        path = path_of(branches, branch, before)
        if not path.spans:
            return [], 0
        low = path.spans[0].low
        floor: int | None = None
        if limit is None:
            floor = 0
        elif before is not None:
            floor = max(0, before - limit)
        found = await self._database.fetch(
            PATH,
            {
                "chat": chat_id,
                "branch": branch,
                "low": low,
                "floor": floor,
                "limit": limit,
                "branches": [span.branch for span in path.spans],
                "lows": [span.low for span in path.spans],
                "highs": [span.high for span in path.spans],
            },
        )
        if floor is None:
            assert limit is not None
            floor = found[0][11] if found else low - limit
        spans = {s.branch: (max(s.low, floor), s.high) for s in path.spans}
        messages = _messages(chat_id, found, spans)
        return turns_of(messages, path.pins), floor


def _messages(
    chat_id: UUID, found: Sequence[Sequence[Any]], spans: Mapping[int, tuple[int, int]]
) -> list[Message]:
    """Rows and segments as messages; a segment may reach beyond what the path shows."""
    messages: list[Message] = []
    for branch, seq, alt, speaker, state, chosen, body, at, meta, codec, segment, _ in found:
        if codec is None:  # `message_of`, written out: a call a row takes as long as all the rest
            key = MessageKey(chat_id, branch, seq, alt)
            messages.append(
                Message(key, speaker, STATES[state], body, at, chosen, orjson.loads(meta))
            )
            continue
        low, high = spans[branch]
        sealed = segments.decode(chat_id, branch, codec, segment)
        messages.extend(m for m in sealed if low <= m.key.seq < high)
    return messages
