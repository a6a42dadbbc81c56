"""Sealed segments: settled turns of one branch as one compressed value. Pure.

A segment is a JSON list of messages, each `[seq, alt, speaker, state, chosen, body, time, meta]`
with the time in microseconds since 1970 (UTC), compressed by zstd.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import orjson
import zstandard

from .errors import StoreError
from .rows import STATES
from .types import Message, MessageKey

ZSTD_JSON = 1  # the only codec so far
LEVEL = 6


class Sizes(NamedTuple):
    """How much is sealed at a time, and how much never is."""

    turns: int = 64  # in a segment
    keep: int = 32  # newest turns of a branch, which stay rows

    def ripens(self, seq: int, fork_seq: int) -> bool:
        """Whether the turn `seq` gives its branch another segment's worth of turns to seal."""
        spare = seq - fork_seq + 1 - self.keep
        return spare > 0 and spare % self.turns == 0


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode(messages: Iterable[Message]) -> bytes:
    """Messages of one branch, as `ZSTD_JSON`."""
    records = [
        [
            m.key.seq,
            m.key.alt,
            m.speaker,
            m.state.value,
            m.chosen,
            m.body,
            (m.created_at - _EPOCH) // _MICROSECOND,
            m.meta,
        ]
        for m in messages
    ]
    return zstandard.ZstdCompressor(level=LEVEL).compress(orjson.dumps(records))


def decode(chat_id: UUID, branch: int, codec: int, data: bytes) -> list[Message]:
    """The messages of a segment. Raises `StoreError` if it is damaged or too new."""
    if codec != ZSTD_JSON:
        raise StoreError(f"chat {chat_id} has a segment of codec {codec}; update Troupe to read it")
    try:
        records = orjson.loads(zstandard.ZstdDecompressor().decompress(data))
        return [
            Message(
                MessageKey(chat_id, branch, seq, alt),
                speaker,
                STATES[state],
                body,
                _EPOCH + timedelta(microseconds=at),
                chosen,
                meta,
            )
            for seq, alt, speaker, state, chosen, body, at, meta in records
        ]
    except (zstandard.ZstdError, ValueError, KeyError) as error:
        raise StoreError(f"a segment of chat {chat_id} is damaged: {error}") from error
