"""A `ChatStore` of plain dictionaries: the rules of the interface with nothing in their way.

For benchmarks of the chat service by itself and tests that need no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from troupe.chat.store.errors import ChatNotFound, Conflict, MessageNotFound
from troupe.chat.store.types import (
    ROOT,
    Appended,
    Branch,
    Chat,
    InboxEntry,
    LiveGeneration,
    Member,
    Message,
    MessageKey,
    State,
    Turn,
)

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass
class _Kept:
    chat: Chat
    rows: dict[tuple[int, int], dict[int, Message]] = field(default_factory=dict)
    sent: dict[str, list[MessageKey]] = field(default_factory=dict)
    last_at: datetime = NEVER
    last_line: str = ""


class MemoryStore:
    """Everything is forgotten with the object."""

    def __init__(self) -> None:
        self._chats: dict[UUID, _Kept] = {}
        self._live: dict[MessageKey, LiveGeneration] = {}

    def _kept(self, chat_id: UUID) -> _Kept:
        kept = self._chats.get(chat_id)
        if kept is None:
            raise ChatNotFound(str(chat_id))
        return kept

    def _row(self, key: MessageKey) -> Message:
        row = self._kept(key.chat_id).rows.get((key.branch, key.seq), {}).get(key.alt)
        if row is None:
            raise MessageNotFound(str(key))
        return row

    def _put(self, message: Message) -> None:
        kept = self._kept(message.key.chat_id)
        kept.rows.setdefault((message.key.branch, message.key.seq), {})[message.key.alt] = message
        kept.last_at, kept.last_line = datetime.now(UTC), message.body[:80]

    async def create_chat(
        self,
        chat_id: UUID,
        title: str,
        members: Sequence[Member],
        first: Sequence[Message],
        meta: dict[str, Any],
    ) -> Chat:
        await asyncio.sleep(0)
        now = datetime.now(UTC)
        branches = (Branch(ROOT, None, 0, 0, now),)
        chat = Chat(chat_id, title, ROOT, tuple(members), branches, now, meta)
        self._chats[chat_id] = _Kept(chat, last_at=now)
        for message in first:
            self._put(message)
        return chat

    async def chat(self, chat_id: UUID) -> Chat:
        await asyncio.sleep(0)
        return self._kept(chat_id).chat

    async def path(
        self, chat_id: UUID, branch: int, before: int | None = None, limit: int | None = None
    ) -> list[Turn]:
        await asyncio.sleep(0)
        kept = self._kept(chat_id)
        branches = {b.branch: b for b in kept.chat.branches}
        turns: list[Turn] = []
        at: Branch | None = branches[branch]
        end, pin = before if before is not None else 1 << 40, None
        while at is not None:
            for (owner, seq), row in sorted(kept.rows.items(), reverse=True):
                if owner != at.branch or seq >= end:
                    continue
                alive = [m for _, m in sorted(row.items()) if m.state is not State.DELETED]
                if alive:
                    chosen = next((m.key.alt for m in alive if m.chosen), alive[0].key.alt)
                    if pin is not None and seq == pin[0]:
                        chosen = pin[1]
                    turns.append(Turn(owner, seq, chosen, tuple(alive)))
            pin = (at.fork_seq - 1, at.fork_alt)
            end = min(end, at.fork_seq)
            at = branches[at.parent] if at.parent is not None else None
        return list(reversed(turns[:limit]))

    async def append(
        self,
        messages: Sequence[Message],
        client_id: str | None = None,
        generation: LiveGeneration | None = None,
    ) -> Appended:
        await asyncio.sleep(0)
        kept = self._kept(messages[0].key.chat_id)
        if client_id is not None and client_id in kept.sent:
            return Appended(kept.sent[client_id], True)
        if any((m.key.branch, m.key.seq) in kept.rows for m in messages):
            raise Conflict
        for message in messages:
            self._put(message)
        keys = [m.key for m in messages]
        if client_id is not None:
            kept.sent[client_id] = keys
        if generation is not None:
            self._live[generation.key] = generation
        return Appended(keys, False)

    async def add_candidate(
        self, message: Message, generation: LiveGeneration | None = None
    ) -> MessageKey:
        await asyncio.sleep(0)
        row = self._kept(message.key.chat_id).rows.get((message.key.branch, message.key.seq))
        if not row:
            raise MessageNotFound
        key = message.key._replace(alt=max(row) + 1)
        if message.chosen:
            for alt, other in row.items():
                row[alt] = other._replace(chosen=False)
        self._put(message._replace(key=key))
        if generation is not None:
            self._live[key] = replace(generation, key=key)
        return key

    async def next_seq(self, chat_id: UUID, branch: int) -> int:
        await asyncio.sleep(0)
        kept = self._kept(chat_id)
        at = next(b for b in kept.chat.branches if b.branch == branch)
        return max([at.fork_seq, *(seq + 1 for owner, seq in kept.rows if owner == branch)])

    async def checkpoint(self, key: MessageKey, body: str) -> None:
        await asyncio.sleep(0)
        row = self._row(key)
        if row.state is State.STREAMING:
            self._put(row._replace(body=body))

    async def settle(self, key: MessageKey, state: State, body: str, meta: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self._put(self._row(key)._replace(state=state, body=body, meta=meta))
        self._live.pop(key, None)

    async def reopen(self, key: MessageKey, generation: LiveGeneration) -> Message:
        await asyncio.sleep(0)
        row = self._row(key)
        if row.state is State.STREAMING:
            raise Conflict
        row = row._replace(state=State.STREAMING)
        self._put(row)
        self._live[key] = generation
        return row

    async def choose(self, key: MessageKey) -> None:
        await asyncio.sleep(0)
        self._row(key)
        row = self._kept(key.chat_id).rows[(key.branch, key.seq)]
        for alt, message in row.items():
            row[alt] = message._replace(chosen=alt == key.alt)

    async def fork(self, chat_id: UUID, parent: int, fork_seq: int, fork_alt: int) -> Branch:
        await asyncio.sleep(0)
        kept = self._kept(chat_id)
        number = max(b.branch for b in kept.chat.branches) + 1
        made = Branch(number, parent, fork_seq, fork_alt, datetime.now(UTC))
        kept.chat = replace(
            kept.chat, branches=(*kept.chat.branches, made), active_branch=made.branch
        )
        return made

    async def activate(self, chat_id: UUID, branch: int) -> None:
        await asyncio.sleep(0)
        kept = self._kept(chat_id)
        kept.chat = replace(kept.chat, active_branch=branch)

    async def erase_turn(self, chat_id: UUID, branch: int, seq: int) -> None:
        await asyncio.sleep(0)
        row = self._kept(chat_id).rows[(branch, seq)]
        for alt, message in row.items():
            row[alt] = message._replace(state=State.DELETED, body="", meta={})

    async def rename(self, chat_id: UUID, title: str) -> None:
        await asyncio.sleep(0)
        kept = self._kept(chat_id)
        kept.chat = replace(kept.chat, title=title)

    async def set_meta(self, chat_id: UUID, meta: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        kept = self._kept(chat_id)
        merged = {k: v for k, v in {**kept.chat.meta, **meta}.items() if v is not None}
        kept.chat = replace(kept.chat, meta=merged)

    async def set_member(self, chat_id: UUID, member: Member) -> None:
        await asyncio.sleep(0)
        kept = self._kept(chat_id)
        others = tuple(m for m in kept.chat.members if m.speaker != member.speaker)
        kept.chat = replace(kept.chat, members=(*others, member))

    async def delete_chat(self, chat_id: UUID) -> None:
        await asyncio.sleep(0)
        self._chats.pop(chat_id, None)

    async def inbox(
        self, speaker: str, before: datetime | None = None, limit: int = 50
    ) -> list[InboxEntry]:
        await asyncio.sleep(0)
        mine = [
            InboxEntry(k.chat.chat_id, k.chat.title, k.last_line, k.last_at, k.chat.members)
            for k in self._chats.values()
            if any(m.speaker == speaker for m in k.chat.members)
            and (before is None or k.last_at < before)
        ]
        return sorted(mine, key=lambda entry: entry.last_at, reverse=True)[:limit]

    async def generation(self, key: MessageKey) -> LiveGeneration | None:
        await asyncio.sleep(0)
        return self._live.get(key)

    async def heartbeat(self, owner: str) -> None:
        await asyncio.sleep(0)

    async def recover(self, instance: str, incarnation: str, stale_after_s: float) -> int:
        await asyncio.sleep(0)
        return 0

    async def seal(self, limit: int = 100) -> int:
        await asyncio.sleep(0)
        return 0
