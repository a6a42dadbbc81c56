"""What this process keeps of the chats it is busy with, so that a turn costs what is new.

The store is the truth: anything here can be forgotten at any time and is read again. One lock a
chat puts its changes in order.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from .errors import ChatError, StateConflict
from .store.base import ChatStore
from .store.types import Chat, Message, MessageKey, Turn

if TYPE_CHECKING:
    from .prompting import History

PAGE = 200  # turns that a cold start reads first
KEPT_SENDS = 32
CAPACITY = 1024


@dataclass(slots=True)
class Path:
    """The newest turns of a branch, oldest first. `whole`: nothing older is left in the store."""

    branch: int
    turns: list[Turn]
    whole: bool
    next_seq: int
    history: History | None = None  # the prompt's side of the same turns
    pinned: dict[int, Turn | None] = field(default_factory=dict)  # turns of pins, older than these

    @property
    def last(self) -> Turn | None:
        """The branch's last turn."""
        return self.turns[-1] if self.turns else None

    def turn(self, seq: int) -> Turn | None:
        """A turn by its number, if it is among those kept."""
        return next((turn for turn in reversed(self.turns) if turn.seq == seq), None)

    def put(self, turn: Turn) -> None:
        """Replace the last turn, or add one after it."""
        if self.turns and self.turns[-1].seq == turn.seq:
            self.turns[-1] = turn
        else:
            self.turns.append(turn)
        self.next_seq = max(self.next_seq, turn.seq + 1)


@dataclass(slots=True)
class WarmChat:
    """A chat that is in use. Read and changed only by who holds the lock."""

    chat_id: UUID
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    holders: int = 0
    chat: Chat | None = None
    path: Path | None = None  # of the branch used last
    sends: OrderedDict[str, list[MessageKey]] = field(default_factory=OrderedDict)

    def forget(self) -> None:
        """Read everything again next time."""
        self.chat = None
        self.path = None

    def remember_send(self, client_id: str, keys: list[MessageKey]) -> None:
        """Keep what a client id became, for a client that sends again."""
        self.sends[client_id] = keys
        if len(self.sends) > KEPT_SENDS:
            self.sends.popitem(last=False)


class WarmChats:
    """The least recently used are let go beyond `capacity`."""

    def __init__(self, store: ChatStore, capacity: int = CAPACITY) -> None:
        self._store = store
        self._capacity = capacity
        self.page = PAGE
        self._chats: OrderedDict[UUID, WarmChat] = OrderedDict()

    @asynccontextmanager
    async def hold(self, chat_id: UUID) -> AsyncIterator[WarmChat]:
        """The chat, alone. An unforeseen failure inside makes
        it be read again next time."""
        warm = self._chats.setdefault(chat_id, WarmChat(chat_id))
        self._chats.move_to_end(chat_id)
        warm.holders += 1
        try:
            async with warm.lock:
                try:
                    yield warm
                except ChatError as error:
                    if isinstance(error, StateConflict):
                        warm.forget()
                    raise
                except BaseException:
                    warm.forget()
                    raise
        finally:
            warm.holders -= 1
            self._trim()

    async def chat(self, warm: WarmChat) -> Chat:
        """The chat's row, members and branches. Raises `ChatNotFound`."""
        if warm.chat is None:
            warm.chat = await self._store.chat(warm.chat_id)
        return warm.chat

    async def path(self, warm: WarmChat, branch: int) -> Path:
        """The newest turns of a branch."""
        if warm.path is None or warm.path.branch != branch:
            turns = await self._store.path(warm.chat_id, branch, limit=self.page)
            next_seq = await self._store.next_seq(warm.chat_id, branch)
            warm.path = Path(branch, turns, len(turns) < self.page, next_seq)
        return warm.path

    async def older(self, warm: WarmChat, path: Path) -> None:
        """Read a page more at the beginning of a path."""
        before = path.turns[0].seq if path.turns else 0
        turns = await self._store.path(warm.chat_id, path.branch, before=before, limit=self.page)
        path.turns[:0] = turns
        path.whole = len(turns) < self.page
        path.history = None

    async def pinned(self, chat_id: UUID, path: Path, seq: int) -> Turn | None:
        """A turn of a path for a prompt that shows it in each answer, read once; None if the path
        has it not."""
        turn = path.turn(seq)
        if turn is not None or path.whole:
            return turn
        if seq not in path.pinned:
            older = await self._store.path(chat_id, path.branch, before=seq + 1, limit=1)
            path.pinned[seq] = next((one for one in older if one.seq == seq), None)
        return path.pinned[seq]

    def stale(self, chat_id: UUID) -> None:
        """The chat's own row has changed; its path has not."""
        warm = self._chats.get(chat_id)
        if warm is not None:
            warm.chat = None

    def drop(self, chat_id: UUID) -> None:
        """Forget a chat that was deleted."""
        warm = self._chats.get(chat_id)
        if warm is not None:
            warm.forget()
            warm.sends.clear()

    def drop_all(self) -> None:
        """Forget everything, as a restart would."""
        for warm in self._chats.values():
            warm.forget()

    def _trim(self) -> None:
        excess = len(self._chats) - self._capacity
        if excess <= 0:
            return
        idle = (chat_id for chat_id, warm in self._chats.items() if warm.holders == 0)
        for chat_id in list(islice(idle, excess)):
            del self._chats[chat_id]


def with_candidate(turn: Turn, message: Message) -> Turn:
    """The turn with one of its candidates replaced."""
    return turn._replace(
        candidates=tuple(message if m.key == message.key else m for m in turn.candidates)
    )


def with_chosen(turn: Turn, message: Message) -> Turn:
    """The turn with this candidate chosen, added if it is new."""
    others = [m._replace(chosen=False) for m in turn.candidates if m.key != message.key]
    candidates = sorted([*others, message._replace(chosen=True)], key=lambda m: m.key.alt)
    return turn._replace(chosen=message.key.alt, candidates=tuple(candidates))
