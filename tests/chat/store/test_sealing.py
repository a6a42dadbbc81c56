"""Sealed turns behave as any others."""

from __future__ import annotations

import asyncio
from uuid import UUID

import psycopg
import pytest

from troupe.chat.store.errors import Conflict, MessageNotFound
from troupe.chat.store.postgres import PostgresStore
from troupe.chat.store.segments import Sizes
from troupe.chat.store.types import ROOT, MessageKey, State

from .making import bodies, live, message, new_chat

TURNS, KEEP = Sizes()
LONG = 2 * TURNS + KEEP + 5


async def _sealed_chat(store: PostgresStore, turns: int = LONG) -> UUID:
    chat_id = await new_chat(store, turns)
    await _seal(store)
    return chat_id


async def _seal(store: PostgresStore) -> int:
    written = 0
    while more := await store.seal():
        written += more
    return written


def _count(dsn: str, table: str, chat_id: UUID) -> int:
    with psycopg.connect(dsn) as connection:
        query = f"SELECT count(*) FROM chat.{table} WHERE chat_id = %s"
        row = connection.execute(query.encode(), (chat_id,)).fetchone()
    assert row is not None
    return int(row[0])


async def test_sealing_changes_nothing_that_is_read(store: PostgresStore, store_url: str) -> None:
    chat_id = await new_chat(store, LONG)
    await store.add_candidate(message(chat_id, 3, "other", chosen=False))
    await store.erase_turn(chat_id, ROOT, 5)
    before = await store.path(chat_id, ROOT)
    pages = [await store.path(chat_id, ROOT, b, 20) for b in range(10, LONG, 7)]
    await _seal(store)
    assert _count(store_url, "segment", chat_id) == 2
    assert _count(store_url, "message", chat_id) == LONG - 2 * TURNS
    assert await store.path(chat_id, ROOT) == before
    assert [await store.path(chat_id, ROOT, b, 20) for b in range(10, LONG, 7)] == pages
    assert await store.next_seq(chat_id, ROOT) == LONG
    assert await store.seal() == 0


async def test_several_sealers_at_once_seal_each_turn_once(
    store: PostgresStore, store_url: str
) -> None:
    chats = [await new_chat(store, LONG) for _ in range(5)]
    async with PostgresStore(store_url) as other:
        await asyncio.gather(*(s.seal() for s in (store, other, store, other)))
    await _seal(store)
    for chat_id in chats:
        assert _count(store_url, "segment", chat_id) == 2
        assert bodies(await store.path(chat_id, ROOT)) == [f"turn {n}" for n in range(LONG)]


async def test_a_sealed_place_is_taken(store: PostgresStore) -> None:
    chat_id = await _sealed_chat(store)
    with pytest.raises(Conflict):
        await store.append([message(chat_id, 7)])
    await store.append([message(chat_id, LONG)])
    await store.settle(MessageKey(chat_id, ROOT, 7, 0), State.STOPPED, "late", {})
    assert bodies(await store.path(chat_id, ROOT, before=8, limit=1)) == ["turn 7"]


async def test_a_sealed_turn_takes_candidates_and_forks(store: PostgresStore) -> None:
    chat_id = await _sealed_chat(store)
    key = await store.add_candidate(message(chat_id, 10, "swiped"))
    assert key.alt == 1
    assert (await store.path(chat_id, ROOT))[10].message.body == "turn 10"
    made = await store.fork(chat_id, ROOT, 11, key.alt)
    assert bodies(await store.path(chat_id, made.branch, limit=2)) == ["turn 9", "swiped"]
    unswiped = await store.fork(chat_id, ROOT, 11, 0)
    assert bodies(await store.path(chat_id, unswiped.branch, limit=1)) == ["turn 10"]
    with pytest.raises(MessageNotFound):
        await store.fork(chat_id, ROOT, 11, 2)


async def test_erasing_a_sealed_turn_leaves_no_byte_of_it(
    store: PostgresStore, store_url: str
) -> None:
    chat_id = await _sealed_chat(store)
    await store.add_candidate(message(chat_id, 20, "turn 20 again"))
    await store.erase_turn(chat_id, ROOT, 20)
    await store.erase_turn(chat_id, ROOT, 20)
    turns = await store.path(chat_id, ROOT)
    assert [turn.seq for turn in turns] == [n for n in range(LONG) if n != 20]
    assert not any("turn 20" in m.body for turn in turns for m in turn.candidates)
    with pytest.raises(MessageNotFound):
        await store.add_candidate(message(chat_id, 20))
    with pytest.raises(Conflict):
        await store.append([message(chat_id, 20)])


async def test_a_sealed_turn_that_becomes_the_last_can_be_chosen_and_reopened(
    store: PostgresStore,
) -> None:
    chat_id = await new_chat(store, TURNS + KEEP)
    last = TURNS - 1
    await store.add_candidate(message(chat_id, last, "other", chosen=False))
    assert await _seal(store) == 1
    for seq in range(TURNS, TURNS + KEEP):
        await store.erase_turn(chat_id, ROOT, seq)
    key = MessageKey(chat_id, ROOT, last, 1)
    await store.choose(key)
    assert (await store.path(chat_id, ROOT))[-1].message.body == "other"
    await store.reopen(key, live(key))
    await store.settle(key, State.COMPLETE, "other and more", {})
    assert (await store.path(chat_id, ROOT))[-1].message.body == "other and more"
    assert len(await store.path(chat_id, ROOT)) == TURNS
    assert await store.next_seq(chat_id, ROOT) == TURNS + KEEP


async def test_deleting_a_chat_deletes_every_row_of_it(
    store: PostgresStore, store_url: str
) -> None:
    chat_id = await _sealed_chat(store)
    answer = message(chat_id, LONG + 1, "", state=State.STREAMING)
    await store.append([message(chat_id, LONG), answer], "c", live(answer.key))
    await store.fork(chat_id, ROOT, 9, 0)
    with psycopg.connect(store_url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'chat' AND column_name = 'chat_id'"
        ).fetchall()
    assert len(tables) == 9
    await store.delete_chat(chat_id)
    assert {name: _count(store_url, name, chat_id) for (name,) in tables} == {
        name: 0 for (name,) in tables
    }
