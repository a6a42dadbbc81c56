"""`PostgresStore`: conversations in PostgreSQL, or in what speaks its protocol.

The front of this folder: checks what callers pass, and hands it to the lanes of group commit
(`appends`, `endings`), to single transactions (`changes`), to `reading`, `sealing` or `recovery`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from . import appends, changes, chats, checks, endings, rows
from .database import Connection, Database
from .errors import ChatNotFound, MessageNotFound
from .group import Lane, Turnstile
from .reading import Reader
from .recovery import Recovery
from .sealing import Sealer
from .segments import Sizes
from .types import (
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

CONNECTIONS = 10
PATIENCE_S = 10.0  # how long a database that is away is waited for
SIZES = Sizes()
TICK = timedelta(microseconds=1)


class PostgresStore:
    """A `ChatStore` over PostgreSQL 15 or later. Open it before use and close it after.

        async with PostgresStore(dsn) as store:
            chat = await store.chat(chat_id)

    The schema is made by `troupe.chat.store.migrations.migrate`.
    """

    def __init__(
        self,
        dsn: str,
        max_connections: int = CONNECTIONS,
        patience_s: float = PATIENCE_S,
        sizes: Sizes = SIZES,
    ) -> None:
        self._database = Database(dsn, max_connections, patience_s)
        self._reader = Reader(self._database)
        self._sealer = Sealer(self._database, sizes)
        self._recovery = Recovery(self._database, checks.LINE)
        self._sizes = sizes
        self._turnstile = Turnstile()
        self._appends = Lane(self._turnstile, appends.Appender(self._database).write)
        self._endings = Lane(self._turnstile, endings.Updater(self._database).write)
        self._last_tick = datetime.now(UTC)

    async def open(self) -> None:
        """Connect. Raises `StoreUnavailable`."""
        await self._database.open()

    async def close(self) -> None:
        """Write what waits, then disconnect."""
        await self._turnstile.drain()
        await self._database.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _now(self) -> datetime:
        """A time later than any that was given before, so that orders by time have no ties."""
        self._last_tick = max(datetime.now(UTC), self._last_tick + TICK)
        return self._last_tick

    async def create_chat(
        self,
        chat_id: UUID,
        title: str,
        members: Sequence[Member],
        first: Sequence[Message],
        meta: dict[str, Any],
    ) -> Chat:
        """Make a chat with branch `ROOT`. Raises `Conflict` if there is one of this id."""
        chat = chats.new_chat(chat_id, title, members, meta, self._now())
        await chats.create(self._database, chat, first)
        self._reader.remember(chat_id, chat.branches)
        return chat

    async def chat(self, chat_id: UUID) -> Chat:
        """A chat, its members and branches."""
        return await self._reader.chat(chat_id)

    async def path(
        self, chat_id: UUID, branch: int, before: int | None = None, limit: int | None = None
    ) -> list[Turn]:
        """The last `limit` turns before `before`, oldest first."""
        return await self._reader.path(chat_id, branch, before, limit)

    async def append(
        self,
        messages: Sequence[Message],
        client_id: str | None = None,
        generation: LiveGeneration | None = None,
    ) -> Appended:
        """Add messages of one branch atomically. Raises `Conflict` if a place is taken,
        `MessageNotFound` if there is no such branch, `BadText`."""
        chat_id, branch, _, _ = messages[0].key
        branches = await self._reader.branches(chat_id, branch)
        fork_seq = branches[branch].fork_seq
        if any(m.key.seq < fork_seq for m in messages):
            raise MessageNotFound(f"branch {branch} of chat {chat_id} begins at turn {fork_seq}")
        ripe = any(self._sizes.ripens(m.key.seq, fork_seq) for m in messages)
        job = appends.job(messages, client_id, generation, ripe, self._now())
        appended: Appended = await self._appends.submit(job)
        return appended

    async def add_candidate(
        self, message: Message, generation: LiveGeneration | None = None
    ) -> MessageKey:
        """Add a candidate to an existing turn, under the next free `alt`."""
        rows.message_json(message)  # refuses what cannot be stored, before anything is locked
        at = self._now()

        async def work(connection: Connection) -> MessageKey:
            return await changes.add_candidate(connection, message, generation, at)

        return await self._database.transact(work)

    async def next_seq(self, chat_id: UUID, branch: int) -> int:
        """The number of the turn that would be appended next."""
        return await self._reader.next_seq(chat_id, branch)

    async def checkpoint(self, key: MessageKey, body: str) -> None:
        """Save what an answer has so far."""
        await self._endings.submit(endings.checkpoint(key, body, self._now()))

    async def settle(
        self, key: MessageKey, state: State, body: str, meta: Mapping[str, Any]
    ) -> None:
        """End an answer. One that had ended stays as it is, except INTERRUPTED."""
        await self._endings.submit(endings.end(key, state, body, meta, self._now()))

    async def reopen(self, key: MessageKey, generation: LiveGeneration) -> Message:
        """Make a settled last answer STREAMING again."""

        async def work(connection: Connection) -> Message:
            return await changes.reopen(connection, key, generation)

        return await self._database.transact(work)

    async def choose(self, key: MessageKey) -> None:
        """Choose another candidate of a branch's last turn."""

        async def work(connection: Connection) -> None:
            await changes.choose(connection, key)

        await self._database.transact(work)

    async def fork(self, chat_id: UUID, parent: int, fork_seq: int, fork_alt: int) -> Branch:
        """A new branch; it becomes the active one."""
        branches = await self._reader.branches(chat_id, parent)
        at = self._now()

        async def work(connection: Connection) -> Branch:
            follows = (fork_seq - 1, fork_alt)
            return await changes.fork(connection, chat_id, branches, parent, follows, at)

        made = await self._database.transact(work)
        self._reader.remember(chat_id, [made])
        return made

    async def activate(self, chat_id: UUID, branch: int) -> None:
        """Show this branch when the chat is opened."""
        await self._reader.branches(chat_id, branch)
        await chats.activate(self._database, chat_id, branch)

    async def erase_turn(self, chat_id: UUID, branch: int, seq: int) -> None:
        """Delete a turn for good. Its number stays taken."""

        async def work(connection: Connection) -> None:
            await changes.erase_turn(connection, chat_id, branch, seq)

        await self._database.transact(work)

    async def rename(self, chat_id: UUID, title: str) -> None:
        """Give a chat another title."""
        await chats.rename(self._database, chat_id, title)

    async def set_meta(self, chat_id: UUID, meta: dict[str, Any]) -> None:
        """Merge keys into a chat's meta; a null removes one."""
        await chats.set_meta(self._database, chat_id, meta)

    async def set_member(self, chat_id: UUID, member: Member) -> None:
        """Add a member or replace the one with the same speaker."""
        await chats.set_member(self._database, chat_id, member, self._now())

    async def delete_chat(self, chat_id: UUID) -> None:
        """Delete a chat and everything in it, for good."""
        tried = False

        async def work(connection: Connection) -> None:
            nonlocal tried
            again, tried = tried, True
            try:
                await changes.delete_chat(connection, chat_id)
            except ChatNotFound:
                if not again:  # else the first try took place after all
                    raise

        self._reader.forget(chat_id)
        await self._database.transact(work)

    async def inbox(
        self, speaker: str, before: datetime | None = None, limit: int = 50
    ) -> list[InboxEntry]:
        """A user's chats, most recently active first."""
        return await self._reader.inbox(speaker, before, limit)

    async def generation(self, key: MessageKey) -> LiveGeneration | None:
        """Who writes this answer, if anyone."""
        return await self._reader.generation(key)

    async def heartbeat(self, owner: str) -> None:
        """Say that this owner is alive."""
        await self._recovery.heartbeat(owner)

    async def recover(self, instance: str, incarnation: str, stale_after_s: float) -> int:
        """Settle as INTERRUPTED what dead owners left."""
        return await self._recovery.recover(instance, incarnation, stale_after_s)

    async def seal(self, limit: int = 100) -> int:
        """Seal up to `limit` branches that are ripe. Gives the number of segments written."""
        return await self._sealer.seal(limit)
