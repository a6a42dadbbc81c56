"""One attempt to write a message: its text so far, and who follows it.

Holds no socket and no store: followers are told that something changed and read the text from
where they are, so a slow reader costs a number, not a queue. Pure but for the calls to followers.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol
from uuid import UUID

from .store.types import MessageKey, State


class Follower(Protocol):
    """Somebody who shows a generation as it grows."""

    def changed(self, now: bool) -> None:
        """There is more text, or (`now`) the end was reached."""
        ...


class Generation:
    """A message as it is written. `text` is the whole body, what a continued answer began with
    included; `state` stays STREAMING until the end is durable."""

    __slots__ = (
        "checkpoint_at",
        "checkpointing",
        "epoch",
        "followers",
        "id",
        "key",
        "meta",
        "model",
        "prefix",
        "producing",
        "saved",
        "state",
        "stopping",
        "task",
        "text",
        "user_id",
    )

    def __init__(
        self,
        key: MessageKey,
        epoch: str,
        user_id: UUID,
        model: str,
        meta: dict[str, Any],
        text: str = "",
    ) -> None:
        self.key = key
        self.id = str(key)
        self.epoch = epoch
        self.user_id = user_id
        self.model = model
        self.meta = meta
        self.text = text
        self.prefix = len(text)  # characters that were there before this attempt
        self.saved = len(text)  # characters that the store has
        self.checkpoint_at = 0.0
        self.checkpointing = False
        self.state = State.STREAMING
        self.stopping: State | None = None  # how to settle once production has ceased
        self.producing = False
        self.task: asyncio.Task[None] | None = None
        self.followers: list[Follower] = []

    def feed(self, piece: str) -> None:
        """Add text at the end."""
        self.text += piece
        for follower in self.followers:
            follower.changed(False)

    def finish(self, state: State) -> None:
        """Say that the end is durable."""
        self.state = state
        for follower in tuple(self.followers):
            follower.changed(True)

    def position(self, epoch: str | None, seq: int | None) -> int:
        """Where a reader who comes back goes on: after `seq` if it means this attempt, else at
        what the message held when the attempt began."""
        if epoch == self.epoch and seq is not None and seq <= len(self.text):
            return seq
        return self.prefix
