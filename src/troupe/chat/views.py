"""What clients are shown: chats, turns, messages as the protocol writes them.

Pydantic models, so that the OpenAPI document is made from the very types that are sent, and
functions from the store's nouns to them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from . import pins
from .catalog import CharacterVersion
from .store.types import Chat, InboxEntry, Member, Message, Turn

StateName = Literal["complete", "streaming", "stopped", "interrupted", "failed"]


class View(BaseModel):
    """Every field is always there in what we send."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class ErrorBody(View):
    code: str
    message: str
    retry_after: float | None = Field(default=None, description="Seconds to wait, if it is known.")


class ErrorView(View):
    error: ErrorBody


class MessageView(View):
    id: str = Field(description="`chat.branch.seq.alt`")
    seq: int
    speaker: str
    name: str
    state: StateName
    body: str
    created_at: datetime
    meta: dict[str, Any]


class TurnView(View):
    branch: int = Field(description="The branch that owns the turn.")
    seq: int
    chosen: int = Field(description="Number (`alt`) of the candidate that is shown.")
    candidates: list[MessageView]


class MemberView(View):
    speaker: str
    name: str
    version_id: UUID | None
    character_id: UUID | None
    slug: str | None
    avatar: str
    persona_id: UUID | None


class BranchView(View):
    branch: int
    parent: int | None
    fork_seq: int
    fork_alt: int
    created_at: datetime


class ChatView(View):
    id: UUID
    title: str
    active_branch: int
    members: list[MemberView]
    branches: list[BranchView]
    model: str | None = Field(description="The model chosen for this chat; null is the default.")
    sampling: dict[str, Any]
    memory: str = Field(description="What the character remembers in this chat, a line an entry.")
    pins: list[str] = Field(description="Ids of the pinned messages, in order of pinning.")
    created_at: datetime


class ChatLine(View):
    id: UUID
    title: str
    last_line: str
    last_at: datetime
    members: list[MemberView]


class ChatList(View):
    chats: list[ChatLine]
    next: datetime | None = Field(description="Give it as `before` for the next page.")


class TurnList(View):
    turns: list[TurnView]
    more: bool = Field(description="There are older turns.")
    branch: int


class ModelView(View):
    id: str
    name: str
    provider: str
    context_length: int
    ready: bool
    why_not: str


class ModelList(View):
    models: list[ModelView]
    default: str | None


class BranchTurn(View):
    branch: int = Field(description="The branch to show from now on.")
    turn: TurnView


class NewBranch(View):
    branch: int


Versions = Mapping[UUID, CharacterVersion]


def member_view(member: Member, versions: Versions) -> MemberView:
    """A member, with what the catalog knows of its character."""
    version = versions.get(member.version_id) if member.version_id else None
    return MemberView(
        speaker=member.speaker,
        name=member.name,
        version_id=member.version_id,
        character_id=version.character_id if version else None,
        slug=version.slug if version else None,
        avatar=version.avatar if version else "",
        persona_id=member.persona_id,
    )


def names_of(chat: Chat) -> dict[str, str]:
    """Speaker to name."""
    return {member.speaker: member.name for member in chat.members}


def message_view(message: Message, names: Mapping[str, str]) -> MessageView:
    """A message; speakers who left keep a plain name."""
    return MessageView(
        id=str(message.key),
        seq=message.key.seq,
        speaker=message.speaker,
        name=names.get(message.speaker, "Someone"),
        state=message.state.value,
        body=message.body,
        created_at=message.created_at,
        meta=message.meta,
    )


def turn_view(turn: Turn, names: Mapping[str, str]) -> TurnView:
    """A turn with its candidates."""
    return TurnView(
        branch=turn.branch,
        seq=turn.seq,
        chosen=turn.chosen,
        candidates=[message_view(message, names) for message in turn.candidates],
    )


def chat_view(chat: Chat, versions: Versions) -> ChatView:
    """A chat without its turns."""
    return ChatView(
        id=chat.chat_id,
        title=chat.title,
        active_branch=chat.active_branch,
        members=[member_view(member, versions) for member in chat.members],
        branches=[
            BranchView(
                branch=b.branch,
                parent=b.parent,
                fork_seq=b.fork_seq,
                fork_alt=b.fork_alt,
                created_at=b.created_at,
            )
            for b in chat.branches
        ],
        model=chat.meta.get("model"),
        sampling=chat.meta.get("sampling") or {},
        memory=chat.meta.get("memory") or "",
        pins=[str(key) for key in pins.keys_of(chat)],
        created_at=chat.created_at,
    )


def line_view(entry: InboxEntry, versions: Versions) -> ChatLine:
    """A line of the list of chats."""
    return ChatLine(
        id=entry.chat_id,
        title=entry.title,
        last_line=entry.last_line,
        last_at=entry.last_at,
        members=[member_view(member, versions) for member in entry.members],
    )
