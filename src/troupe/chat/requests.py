"""What clients may ask over HTTP: bodies and queries, checked. Unknown fields are errors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from troupe.gateway.types import Sampling

from .text import Filled, FrameId, Memory, Short, Speaker, Title

Branch = Annotated[int, Field(ge=0, le=1_000_000)]
Seq = Annotated[int, Field(ge=0, le=100_000_000)]


class Request(BaseModel):
    """Fields that are not named here are errors."""

    model_config = ConfigDict(extra="forbid")


class SamplingBody(Request):
    """How answers are drawn. What is left out is the model's own default."""

    temperature: float | None = Field(default=None, ge=0, le=4)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=100_000)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=4)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    max_tokens: int | None = Field(default=None, ge=1, le=4096)

    def to_sampling(self) -> Sampling:
        """The gateway's own type."""
        return Sampling(**self.model_dump(exclude_none=True))


class NewChat(Request):
    character: Short = Field(description="Slug or id of a character.")
    persona: UUID | None = Field(
        default=None, description="Who you are; your default one if left out."
    )
    title: Title | None = None


class ChatChange(Request):
    """Only what is given is changed; `model: null` goes back to the default."""

    title: Title | None = None
    model: Short | None = None
    persona: UUID | None = None
    branch: Branch | None = Field(default=None, description="The branch to show.")
    sampling: SamplingBody | None = None
    memory: Memory | None = Field(
        default=None,
        description="What the character remembers in this chat, a line an entry; null for nothing.",
    )


class SendBody(Request):
    client_id: FrameId
    text: Filled
    branch: Branch | None = Field(default=None, description="The active one if left out.")
    speak: Speaker | None = Field(
        default=None, description="Who answers; null for no answer, left out for the only one."
    )


class OnBranch(Request):
    """An optional body: the branch that is shown."""

    branch: Branch | None = None


class ChooseBody(Request):
    branch: Branch


class EditBody(Request):
    branch: Branch
    text: Filled


class BranchBody(Request):
    branch: Branch
    seq: Seq


class ChatsQuery(Request):
    before: datetime | None = None
    limit: int = Field(default=50, ge=1, le=200)


class TurnsQuery(Request):
    branch: Branch | None = None
    before: Seq | None = Field(default=None, description="Turns before this `seq`.")
    limit: int = Field(default=50, ge=1, le=200)
