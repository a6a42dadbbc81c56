"""Database rows to the store's nouns and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from . import checks
from .types import Branch, LiveGeneration, Member, Message, MessageKey, State

STATES = {state.value: state for state in State}


def message_json(message: Message) -> dict[str, Any]:
    """A message as a record of the statements that write it. Raises `BadText`."""
    key = message.key
    return {
        "chat_id": key.chat_id,
        "branch": key.branch,
        "seq": key.seq,
        "alt": key.alt,
        "speaker": checks.text(message.speaker, "a speaker", 200),
        "state": message.state.value,
        "chosen": message.chosen,
        "body": checks.text(message.body, "a message"),
        "created_at": message.created_at,
        "meta": checks.json(message.meta, "a message's meta"),
    }


def generation_json(generation: LiveGeneration) -> dict[str, Any]:
    """Who writes a message, beside `message_json`."""
    return {
        "owner": checks.text(generation.owner, "an owner", 200),
        "epoch": checks.text(generation.epoch, "an epoch", 200),
        "started_at": generation.started_at,
    }


def member_json(member: Member, place: int) -> dict[str, Any]:
    """A member as a record. Raises `BadText`."""
    return {
        "speaker": checks.text(member.speaker, "a speaker", 200),
        "place": place,
        "name": checks.text(member.name, "a name", 1000),
        "version_id": member.version_id,
        "persona_id": member.persona_id,
    }


def is_user(speaker: str) -> bool:
    """Whether a speaker has a list of chats."""
    return speaker.startswith("user:")


def line_of(messages: Sequence[Message]) -> str | None:
    """What lists of chats show after these messages; None leaves them as they are."""
    return next((checks.line(m.body) for m in reversed(messages) if m.body), None)


def message_of(chat_id: UUID, row: Sequence[Any]) -> Message:
    """From columns branch, seq, alt, speaker, state, chosen, body, created_at, meta (as text)."""
    branch, seq, alt, speaker, state, chosen, body, created_at, meta = row
    key = MessageKey(chat_id, branch, seq, alt)
    return Message(key, speaker, STATES[state], body, created_at, chosen, orjson.loads(meta))


def members_of(records: Sequence[Mapping[str, Any]] | None) -> tuple[Member, ...]:
    """From JSON records of the member table."""
    return tuple(
        Member(
            record["speaker"],
            record["name"],
            UUID(record["version_id"]) if record["version_id"] else None,
            UUID(record["persona_id"]) if record["persona_id"] else None,
        )
        for record in records or ()
    )


def branches_of(records: Sequence[Mapping[str, Any]]) -> tuple[Branch, ...]:
    """From JSON records of the branch table."""
    return tuple(
        Branch(
            record["branch"],
            record["parent"],
            record["fork_seq"],
            record["fork_alt"],
            datetime.fromisoformat(record["created_at"]),
        )
        for record in records
    )
