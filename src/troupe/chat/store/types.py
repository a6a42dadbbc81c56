"""The nouns of a stored conversation: chats, members, branches, turns and their candidates.

Pure values. Those that a path has hundreds of are tuples: a frozen data class takes four times as
long to make. A chat is a tree: turns are numbered by `seq` from 0, a turn has candidates (`alt`),
of which one is chosen, and a branch shares every turn before its `fork_seq` with its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

ROOT = 0  # the branch that every chat begins with


class State(StrEnum):
    """How far a message has come. Everything but STREAMING is settled."""

    COMPLETE = "complete"
    STREAMING = "streaming"
    STOPPED = "stopped"  # the reader stopped it
    INTERRUPTED = "interrupted"  # a process died; what was produced is kept
    FAILED = "failed"  # the model or provider failed; `meta["error"]` says how
    DELETED = "deleted"  # a tombstone: the body is gone


class MessageKey(NamedTuple):
    """A message's place, and its primary key. Written `chat.branch.seq.alt` as a message id."""

    chat_id: UUID
    branch: int
    seq: int
    alt: int

    def __str__(self) -> str:
        return f"{self.chat_id}.{self.branch}.{self.seq}.{self.alt}"

    @classmethod
    def parse(cls, text: str) -> MessageKey:
        """Read a message id. Raises `ValueError`."""
        chat, branch, seq, alt = text.split(".")
        return cls(UUID(chat), int(branch), int(seq), int(alt))


class Message(NamedTuple):
    """One candidate of one turn.

    `speaker` is `user:<uuid>` or `char:<character uuid>`. `meta` records model, provider,
    sampling, token counts, times, character version and template: whatever is needed to rebuild
    the prompt that it came from.
    """

    key: MessageKey
    speaker: str
    state: State
    body: str
    created_at: datetime
    chosen: bool = True
    meta: Mapping[str, Any] = {}


class Appended(NamedTuple):
    """What an append came to. `repeated`: its client id was seen before, nothing was written."""

    keys: list[MessageKey]
    repeated: bool


class Turn(NamedTuple):
    """A turn as a branch shows it: the branch that owns it, its candidates, which one is chosen."""

    branch: int
    seq: int
    chosen: int
    candidates: tuple[Message, ...]  # in order of `alt`, tombstones left out

    @property
    def message(self) -> Message:
        """The chosen candidate."""
        return next(m for m in self.candidates if m.key.alt == self.chosen)


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch shares its parent's turns before `fork_seq`; `fork_alt` is the candidate of turn
    `fork_seq - 1` that it follows (so a later swipe in the parent changes nothing here)."""

    branch: int
    parent: int | None
    fork_seq: int
    fork_alt: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """Who takes part. A character is there by an immutable version; a user may wear a persona."""

    speaker: str
    name: str
    version_id: UUID | None = None
    persona_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat without its messages."""

    chat_id: UUID
    title: str
    active_branch: int
    members: tuple[Member, ...]
    branches: tuple[Branch, ...]
    created_at: datetime
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """A line in a member's list of chats, newest first."""

    chat_id: UUID
    title: str
    last_line: str
    last_at: datetime
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class LiveGeneration:
    """An answer that some process is writing. `owner` is `instance/incarnation`."""

    key: MessageKey
    owner: str
    epoch: str
    started_at: datetime
