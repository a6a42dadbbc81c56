"""What the chat service asks of a store. One contract suite (tests/chat/store) holds for all.

Rules that keep it portable to any database that speaks PostgreSQL's protocol: no sequences,
triggers, partial indexes, savepoints, advisory locks, LISTEN/NOTIFY, and nothing whose
correctness needs a transaction over two chats. Everything acknowledged is durable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

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


class ChatStore(Protocol):
    """Conversations, kept. Errors are those of `errors.py`; a serialisation failure is retried
    inside. Methods on a chat that does not exist raise `ChatNotFound`."""

    async def create_chat(
        self,
        chat_id: UUID,
        title: str,
        members: Sequence[Member],
        first: Sequence[Message],
        meta: dict[str, Any],
    ) -> Chat:
        """Make a chat with branch `ROOT`; `first` are the candidates of turn 0 (the greetings)."""
        ...

    async def chat(self, chat_id: UUID) -> Chat:
        """A chat, its members and branches."""
        ...

    async def path(
        self, chat_id: UUID, branch: int, before: int | None = None, limit: int | None = None
    ) -> list[Turn]:
        """The last `limit` turns before turn `before` on a branch, oldest first; one range scan a
        branch and segment table. Erased turns are left out."""
        ...

    async def append(
        self,
        messages: Sequence[Message],
        client_id: str | None = None,
        generation: LiveGeneration | None = None,
    ) -> Appended:
        """Add messages of one chat atomically: durable when this returns. Group commit joins
        appends of many chats in one statement. `generation` (whose STREAMING row is among the
        messages) is recorded in the same commit. With a `client_id` that was seen before in this
        chat nothing is written and the keys of the first time are returned (an idempotent send).
        Raises `Conflict` if a key is taken by something else."""
        ...

    async def add_candidate(
        self, message: Message, generation: LiveGeneration | None = None
    ) -> MessageKey:
        """Add a candidate to an existing turn: `message.key.alt` is ignored, the next free one is
        taken, also for `generation`, which is recorded in the same commit. With `message.chosen`
        it becomes the chosen one if the turn is the last of its own branch and no other branch
        hangs further down; else the caller forks with `fork_alt`."""
        ...

    async def next_seq(self, chat_id: UUID, branch: int) -> int:
        """The number of the turn that would be appended next; erased turns keep theirs."""
        ...

    async def checkpoint(self, key: MessageKey, body: str) -> None:
        """Save what an answer has so far. Group-committed; a newer checkpoint replaces one that
        waits. Does nothing to a settled message."""
        ...

    async def settle(
        self, key: MessageKey, state: State, body: str, meta: Mapping[str, Any]
    ) -> None:
        """End an answer: final state, body and meta, its live generation removed, the inboxes of
        its members told. One that had ended before stays as it is; only INTERRUPTED, which is a
        guess of others, gives way to what the owner says."""
        ...

    async def reopen(self, key: MessageKey, generation: LiveGeneration) -> Message:
        """Make a settled last answer STREAMING again, to continue it."""
        ...

    async def choose(self, key: MessageKey) -> None:
        """Choose another candidate of a branch's last turn; `Conflict` if turns follow, there or
        on a branch that would show another candidate by it."""
        ...

    async def fork(self, chat_id: UUID, parent: int, fork_seq: int, fork_alt: int) -> Branch:
        """A new branch that shares `parent`'s path before `fork_seq`, following candidate
        `fork_alt` of turn `fork_seq - 1`; copies nothing; becomes the active branch."""
        ...

    async def activate(self, chat_id: UUID, branch: int) -> None:
        """Show this branch when the chat is opened."""
        ...

    async def erase_turn(self, chat_id: UUID, branch: int, seq: int) -> None:
        """Delete a turn for good: every candidate's body is overwritten, sealed ones included.
        Its number stays taken."""
        ...

    async def rename(self, chat_id: UUID, title: str) -> None: ...

    async def set_meta(self, chat_id: UUID, meta: dict[str, Any]) -> None:
        """Merge keys into a chat's meta (model, style); a null removes one."""
        ...

    async def set_member(self, chat_id: UUID, member: Member) -> None:
        """Add a member or replace the one with the same speaker."""
        ...

    async def delete_chat(self, chat_id: UUID) -> None:
        """Delete a chat and everything in it, for good."""
        ...

    async def inbox(
        self, speaker: str, before: datetime | None = None, limit: int = 50
    ) -> list[InboxEntry]:
        """A user's chats, most recently active first. Characters have no such list."""
        ...

    async def generation(self, key: MessageKey) -> LiveGeneration | None:
        """Who writes this answer, if anyone."""
        ...

    async def heartbeat(self, owner: str) -> None:
        """Say that this owner is alive (every few seconds)."""
        ...

    async def recover(self, instance: str, incarnation: str, stale_after_s: float) -> int:
        """Settle as INTERRUPTED what dead owners left: earlier incarnations of `instance`, and
        owners not heard of for `stale_after_s`. Gives how many."""
        ...

    async def seal(self, limit: int = 100) -> int:
        """Move settled turns that are followed by enough newer ones into compressed segments, 64 a
        segment. Gives the number of segments written. Safe to run from several processes."""
        ...
