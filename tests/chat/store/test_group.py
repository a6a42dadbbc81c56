"""Group commit by itself: what goes out when, whose errors are whose. No database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self
from uuid import UUID, uuid4

import psycopg
import pytest

from troupe.chat.store import group
from troupe.chat.store.errors import StoreError, StoreUnavailable
from troupe.chat.store.group import Job, Lane, Turnstile


@dataclass(slots=True, eq=False, kw_only=True)
class Note(Job):
    text: str
    draft: bool = False

    def replaces(self, older: Self) -> bool:
        return older.draft


def note(text: str, chat_id: UUID | None = None, *, draft: bool = False, size: int = 1) -> Note:
    return Note(chat_id=chat_id or uuid4(), size=size, text=text, draft=draft)


class Writer:
    """Keeps batches, and holds each until `open` is set."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.chats: set[UUID] = set()

    async def write(self, batch: list[Note]) -> None:
        chats = {job.chat_id for job in batch}
        assert len(chats) == len(batch), "a chat was twice in a statement"
        assert not chats & self.chats, "a chat was in two flights"
        self.chats |= chats
        self.batches.append([job.text for job in batch])
        await self.open.wait()
        self.chats -= chats
        for job in batch:
            if job.text == "taken":
                job.fail(StoreError("taken"))
            else:
                job.resolve(job.text)


async def test_what_is_submitted_together_goes_out_together() -> None:
    writer = Writer()
    lane = Lane(Turnstile(), writer.write)
    results = await asyncio.gather(*(lane.submit(note(str(n))) for n in range(5)))
    assert results == ["0", "1", "2", "3", "4"]
    assert writer.batches == [["0", "1", "2", "3", "4"]]


async def test_while_one_flies_others_gather() -> None:
    writer = Writer()
    writer.open.clear()
    lane = Lane(Turnstile(), writer.write)
    first = asyncio.create_task(lane.submit(note("first")))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(lane.submit(note(str(n)))) for n in range(3)]
    await asyncio.sleep(0.01)
    assert writer.batches == [["first"]]
    writer.open.set()
    await asyncio.gather(first, *rest)
    assert writer.batches == [["first"], ["0", "1", "2"]]


async def test_a_full_statement_does_not_wait_for_the_one_in_flight() -> None:
    writer = Writer()
    writer.open.clear()
    lane = Lane(Turnstile(), writer.write)
    tasks = [asyncio.create_task(lane.submit(note("first")))]
    await asyncio.sleep(0.01)
    tasks += [asyncio.create_task(lane.submit(note(str(n)))) for n in range(group.MAX_JOBS + 1)]
    await asyncio.sleep(0.01)
    assert [len(batch) for batch in writer.batches] == [1, group.MAX_JOBS]
    writer.open.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in writer.batches] == [1, group.MAX_JOBS, 1]


async def test_a_chat_flies_once_at_a_time_and_in_order_over_all_lanes() -> None:
    writer = Writer()
    turnstile = Turnstile()
    lanes = [Lane(turnstile, writer.write) for _ in range(2)]
    chat_id = uuid4()
    order = asyncio.gather(*(lanes[0].submit(note(str(n), chat_id)) for n in range(20)))
    other = asyncio.gather(*(lanes[1].submit(note(f"other {n}", chat_id)) for n in range(20)))
    await asyncio.gather(order, other)
    written = [text for batch in writer.batches for text in batch]
    assert [text for text in written if "other" not in text] == [str(n) for n in range(20)]
    assert len(written) == 40
    assert not turnstile.flying


async def test_a_large_job_flies_alone() -> None:
    writer = Writer()
    lane = Lane(Turnstile(), writer.write)
    jobs = [note("a"), note("big", size=group.MAX_BYTES), note("c")]
    await asyncio.gather(*(lane.submit(job) for job in jobs))
    assert writer.batches == [["a"], ["big"], ["c"]]


async def test_a_refusal_reaches_its_own_caller_only() -> None:
    lane = Lane(Turnstile(), Writer().write)
    results = await asyncio.gather(
        *(lane.submit(note(text)) for text in ("a", "taken", "b")), return_exceptions=True
    )
    assert (results[0], results[2]) == ("a", "b")
    assert isinstance(results[1], StoreError)


async def test_a_batch_that_the_database_refuses_is_tried_one_by_one() -> None:
    async def write(batch: list[Note]) -> None:
        if any(job.text == "poison" for job in batch):
            raise psycopg.DataError("poison")
        for job in batch:
            job.resolve(job.text)

    lane = Lane(Turnstile(), write)
    results = await asyncio.gather(
        *(lane.submit(note(text)) for text in ("a", "poison", "b")), return_exceptions=True
    )
    assert (results[0], results[2]) == ("a", "b")
    assert isinstance(results[1], StoreError)


async def test_an_unreachable_database_fails_all_that_flew_and_none_that_waits() -> None:
    away = True

    async def write(batch: list[Note]) -> None:
        await asyncio.sleep(0)
        if away:
            raise StoreUnavailable("away")
        for job in batch:
            job.resolve(job.text)

    lane = Lane(Turnstile(), write)
    failed = await asyncio.gather(
        lane.submit(note("a")), lane.submit(note("b")), return_exceptions=True
    )
    assert all(isinstance(error, StoreUnavailable) for error in failed)
    away = False
    assert await lane.submit(note("c")) == "c"


async def test_a_cancelled_caller_takes_nothing_back() -> None:
    writer = Writer()
    writer.open.clear()
    turnstile = Turnstile()
    lane = Lane(turnstile, writer.write)
    callers = [asyncio.create_task(lane.submit(note(text))) for text in ("taken", "a")]
    await asyncio.sleep(0.01)
    callers.append(asyncio.create_task(lane.submit(note("b"))))
    await asyncio.sleep(0.01)
    for caller in callers:
        caller.cancel()
    writer.open.set()
    await turnstile.drain()
    assert writer.batches == [["taken", "a"], ["b"]]


async def test_a_newer_write_replaces_a_draft_that_waits_and_answers_for_it() -> None:
    writer = Writer()
    writer.open.clear()
    lane = Lane(Turnstile(), writer.write)
    chat_id = uuid4()
    tasks = [asyncio.create_task(lane.submit(note("flying", chat_id, draft=True)))]
    await asyncio.sleep(0.01)
    for text, draft in (("draft", True), ("newer", True), ("end", False), ("after", False)):
        tasks.append(asyncio.create_task(lane.submit(note(text, chat_id, draft=draft))))
    await asyncio.sleep(0.01)
    writer.open.set()
    assert await asyncio.gather(*tasks) == ["flying", "end", "end", "end", "after"]
    assert writer.batches == [["flying"], ["end"], ["after"]]


async def test_more_than_can_wait_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "MAX_WAITING", 3)
    writer = Writer()
    writer.open.clear()
    lane = Lane(Turnstile(), writer.write)
    flying = asyncio.create_task(lane.submit(note("flying")))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(lane.submit(note(str(n)))) for n in range(3)]
    await asyncio.sleep(0.01)
    with pytest.raises(StoreUnavailable):
        await lane.submit(note("too many"))
    writer.open.set()
    await asyncio.gather(flying, *waiting)
