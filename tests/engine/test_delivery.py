from __future__ import annotations

import asyncio
import threading

import pytest

from troupe.engine.delivery import Inbox, Outbox, joined
from troupe.engine.types import Chunk


async def test_chunks_that_wait_are_read_as_one() -> None:
    inbox = Inbox(joins=True)
    for token in (1, 2, 3):
        inbox.put(Chunk((token,), str(token)))
    assert await inbox.take() == Chunk((1, 2, 3), "123")


async def test_a_reader_that_did_not_ask_for_it_gets_them_one_by_one() -> None:
    inbox = Inbox(joins=False)
    for token in (1, 2):
        inbox.put(Chunk((token,), ""))
    assert [await inbox.take(), await inbox.take()] == [Chunk((1,), ""), Chunk((2,), "")]


async def test_another_candidate_an_end_and_an_error_are_not_joined() -> None:
    inbox, fault = Inbox(joins=True), ValueError("no")
    given = [
        Chunk((1,), "a"),
        Chunk((2,), "b", index=1),
        Chunk((3,), "c", index=1, finish_reason="stop"),
        Chunk((4,), "d", index=1),
        fault,
    ]
    for item in given:
        inbox.put(item)
    assert await inbox.take() == Chunk((1,), "a")
    assert await inbox.take() == Chunk((2, 3), "bc", index=1, finish_reason="stop")
    assert await inbox.take() == Chunk((4,), "d", index=1)
    assert await inbox.take() is fault


def test_the_last_of_joined_chunks_gives_the_end() -> None:
    whole = joined([Chunk((1,), "a"), Chunk((2,), "b", finish_reason="length")])
    assert whole == Chunk((1, 2), "ab", finish_reason="length")


async def test_items_of_a_thread_arrive_in_order_and_all() -> None:
    outbox, inbox, count = Outbox(asyncio.get_running_loop()), Inbox(joins=True), 5000

    def work() -> None:
        for token in range(count):
            assert outbox.put(inbox, Chunk((token,), ""))
            if token % 7 == 0 or token == count - 1:
                outbox.wake()

    thread = threading.Thread(target=work)
    thread.start()
    got: list[int] = []
    while len(got) < count:
        item = await asyncio.wait_for(inbox.take(), 30)
        assert isinstance(item, Chunk)
        got += item.token_ids
    await asyncio.to_thread(thread.join)
    assert got == list(range(count))


async def test_a_reader_that_waits_is_woken() -> None:
    outbox, inbox = Outbox(asyncio.get_running_loop()), Inbox(joins=True)
    reading = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    await asyncio.to_thread(outbox.put, inbox, Chunk((1,), "a"))
    await asyncio.sleep(0)
    assert not reading.done()
    await asyncio.to_thread(outbox.wake)
    assert await asyncio.wait_for(reading, 30) == Chunk((1,), "a")


@pytest.mark.parametrize("before", [0, 1])
def test_a_closed_loop_takes_nothing(before: int) -> None:
    loop = asyncio.new_event_loop()
    outbox, inbox = Outbox(loop), Inbox(joins=True)
    for _ in range(before):
        assert outbox.put(inbox, Chunk((1,), "a"))
    loop.close()
    outbox.wake()
    assert not outbox.put(inbox, Chunk((2,), "b"))
