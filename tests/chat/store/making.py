"""Chats and messages for tests of stores."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from troupe.chat.store.base import ChatStore
from troupe.chat.store.types import (
    ROOT,
    LiveGeneration,
    Member,
    Message,
    MessageKey,
    State,
    Turn,
)

ANNA = f"user:{uuid4()}"
BRAM = f"char:{uuid4()}"
MEMBERS = (
    Member(ANNA, "Anna", persona_id=uuid4()),
    Member(BRAM, "Bram", version_id=uuid4()),
)


def message(
    chat_id: UUID,
    seq: int,
    body: str = "hello",
    *,
    branch: int = ROOT,
    alt: int = 0,
    speaker: str = ANNA,
    state: State = State.COMPLETE,
    chosen: bool = True,
    meta: dict[str, Any] | None = None,
) -> Message:
    key = MessageKey(chat_id, branch, seq, alt)
    return Message(key, speaker, state, body, datetime.now(UTC), chosen, meta or {})


def live(key: MessageKey, owner: str = "web-0/1") -> LiveGeneration:
    return LiveGeneration(key, owner, uuid4().hex, datetime.now(UTC))


async def new_chat(store: ChatStore, turns: int = 1, user: str = ANNA) -> UUID:
    """A chat with so many turns on its root, the first of which is a greeting."""
    chat_id = uuid4()
    greeting = [message(chat_id, 0, "turn 0", speaker=BRAM)] if turns else []
    members = (Member(user, "Anna"), MEMBERS[1])
    await store.create_chat(chat_id, "A chat", members, greeting, {})
    for start in range(1, turns, 50):
        seqs = range(start, min(start + 50, turns))
        await store.append([message(chat_id, seq, f"turn {seq}") for seq in seqs])
    return chat_id


def bodies(turns: list[Turn]) -> list[str]:
    return [turn.message.body for turn in turns]
