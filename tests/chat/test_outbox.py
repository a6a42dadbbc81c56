"""What waits for a slow reader is a position, not a queue; frames stay in order."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troupe.chat.generation import Generation
from troupe.chat.outbox import CAPACITY, Outbox, Overflow
from troupe.chat.store.types import MessageKey, State


class Reader:
    """Takes frames while its gate is open."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail = False

    async def send(self, frame: str) -> None:
        await self.gate.wait()
        if self.fail:
            raise ConnectionResetError
        self.frames.append(json.loads(frame))

    @property
    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames]


def generation() -> Generation:
    return Generation(MessageKey(uuid4(), 0, 1, 0), "e" * 32, uuid4(), "model", {})


async def settle_down() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_blocked_reader_gets_one_delta_with_all_that_came() -> None:
    reader, writing = Reader(), generation()
    outbox = Outbox(reader.send, asyncio.get_running_loop(), interval=0.0)
    outbox.attach(writing, 0)
    await settle_down()
    reader.gate.clear()
    for _ in range(10_000):
        writing.feed("x")
    await settle_down()
    assert reader.kinds == ["start"]
    reader.gate.set()
    await settle_down()
    assert reader.kinds in (["start", "delta"], ["start", "delta", "delta"])
    assert sum(len(f["text"]) for f in reader.frames[1:]) == 10_000


async def test_the_first_delta_goes_at_once_and_the_next_waits() -> None:
    reader, writing = Reader(), generation()
    outbox = Outbox(reader.send, asyncio.get_running_loop(), interval=60.0)
    outbox.attach(writing, 0)
    writing.feed("a")
    await settle_down()
    writing.feed("b")
    writing.feed("c")
    await settle_down()
    assert reader.kinds == ["start", "delta"]
    writing.finish(State.COMPLETE)
    await outbox.drained()
    assert [f.get("text") for f in reader.frames[:3]] == ["", "a", "bc"]
    assert reader.kinds == ["start", "delta", "delta", "done"]
    assert writing.followers == []


async def test_a_reader_who_is_gone_is_followed_no_longer() -> None:
    reader, writing = Reader(), generation()
    outbox = Outbox(reader.send, asyncio.get_running_loop())
    outbox.attach(writing, 0)
    await settle_down()
    reader.fail = True
    writing.feed("a")
    await outbox.drained()
    assert outbox.closed
    assert writing.followers == []
    writing.feed("b")
    assert writing.text == "ab"


async def test_control_frames_that_nobody_reads_are_bounded() -> None:
    reader = Reader()
    reader.gate.clear()
    outbox = Outbox(reader.send, asyncio.get_running_loop())
    for _ in range(CAPACITY):
        outbox.put("{}")
    with pytest.raises(Overflow):
        outbox.put("{}")
    outbox.close()


@given(
    pieces=st.lists(st.text(min_size=1, max_size=8), max_size=30),
    position=st.integers(0, 40),
    steps=st.integers(0, 3),
)
async def test_any_reader_ends_with_the_whole_text(
    pieces: list[str], position: int, steps: int
) -> None:
    reader, writing = Reader(), generation()
    outbox = Outbox(reader.send, asyncio.get_running_loop(), interval=0.0)
    for number, piece in enumerate(pieces):
        if number == len(pieces) // 2:
            outbox.attach(writing, writing.position(writing.epoch, position))
        writing.feed(piece)
        for _ in range(steps):
            await asyncio.sleep(0)
    if not pieces:
        outbox.attach(writing, 0)
    writing.finish(State.COMPLETE)
    await outbox.drained()
    text = "".join(f["text"] for f in reader.frames if f["type"] in ("start", "delta"))
    assert text == "".join(pieces) == reader.frames[-1]["body"]
