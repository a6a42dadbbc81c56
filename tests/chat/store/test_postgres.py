"""What is PostgreSQL's own: transaction ids, statements shared, connections cut in mid-write."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.transaction_ids import transaction_ids
from troupe.chat.store.errors import ChatNotFound, Conflict, StoreUnavailable
from troupe.chat.store.postgres import PostgresStore
from troupe.chat.store.types import ROOT, MessageKey, State

from .making import ANNA, BRAM, bodies, live, message, new_chat


async def test_reads_use_no_transaction_ids(store: PostgresStore, store_url: str) -> None:
    chat_id = await new_chat(store, 150)
    await store.seal()

    for read in (
        lambda: store.chat(chat_id),
        lambda: store.path(chat_id, ROOT),
        lambda: store.path(chat_id, ROOT, limit=10),
        lambda: store.next_seq(chat_id, ROOT),
        lambda: store.inbox(ANNA),
        lambda: store.generation(MessageKey(chat_id, ROOT, 1, 0)),
        store.seal,
        lambda: store.recover("nobody", "new", 3600),
    ):
        assert await transaction_ids(store_url, read, most=0) == 0


async def test_a_send_and_its_answer_use_two_transaction_ids(
    store: PostgresStore, store_url: str
) -> None:
    chat_id = await new_chat(store)

    async def talk() -> None:
        seq = await store.next_seq(chat_id, ROOT)
        answer = message(chat_id, seq + 1, "", speaker=BRAM, state=State.STREAMING)
        await store.append([message(chat_id, seq), answer], uuid4().hex, live(answer.key))
        await store.settle(answer.key, State.COMPLETE, "said", {})

    assert await transaction_ids(store_url, talk, most=2) <= 2


async def test_many_chats_share_statements(store: PostgresStore, store_url: str) -> None:
    chats = [await new_chat(store) for _ in range(100)]
    seq = 0

    async def send() -> None:
        nonlocal seq
        seq += 1
        await asyncio.gather(*(store.append([message(chat_id, seq)]) for chat_id in chats))

    assert await transaction_ids(store_url, send, most=2) <= 2


async def test_every_change_uses_one_transaction_id(store: PostgresStore, store_url: str) -> None:
    chat_id = await new_chat(store, 5)
    for change in (
        lambda: store.add_candidate(message(chat_id, 4)),
        lambda: store.choose(MessageKey(chat_id, ROOT, 4, 0)),
        lambda: store.fork(chat_id, ROOT, 3, 0),
        lambda: store.erase_turn(chat_id, ROOT, 2),
        lambda: store.set_meta(chat_id, {"a": 1}),
        lambda: new_chat(store),
        lambda: store.heartbeat("web-9/1"),
    ):
        assert await transaction_ids(store_url, change, most=1) <= 1


async def test_errors_in_a_shared_statement_reach_only_their_own_callers(
    store: PostgresStore,
) -> None:
    chats = [await new_chat(store, 2) for _ in range(10)]
    chats.append(uuid4())
    await store.path(chats[0], ROOT)
    calls = [store.append([message(c, 1 if n % 3 == 0 else 2)]) for n, c in enumerate(chats)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[10], ChatNotFound)
    for n, result in enumerate(results[:10]):
        assert isinstance(result, Conflict) == (n % 3 == 0)
    lengths = [len(await store.path(c, ROOT)) for c in chats[:10]]
    assert lengths == [2 if n % 3 == 0 else 3 for n in range(10)]


async def test_two_processes_that_race_for_a_place_leave_one_winner_and_whole_appends(
    store_url: str,
) -> None:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(PostgresStore(store_url, max_connections=2))
            for _ in range(4)
        ]
        chat_id = await new_chat(stores[0])
        for seq in range(1, 61, 2):
            await asyncio.gather(
                *(
                    store.append(
                        [message(chat_id, seq, f"{n}"), message(chat_id, seq + 1, f"{n}")][: 1 + n]
                    )
                    for n, store in enumerate(stores)
                ),
                return_exceptions=True,
            )
            turns = await stores[0].path(chat_id, ROOT, before=seq + 2)
            here = bodies([turn for turn in turns if turn.seq >= seq])
            assert here in (["0"], *([f"{n}", f"{n}"] for n in range(1, 4)))
            if here == ["0"]:
                await stores[0].append([message(chat_id, seq + 1)])


async def test_the_same_send_through_two_processes_is_one_send(store_url: str) -> None:
    async with PostgresStore(store_url) as one, PostgresStore(store_url) as two:
        chat_id = await new_chat(one)
        for seq in range(1, 30):
            results = await asyncio.gather(
                *(s.append([message(chat_id, seq)], f"send {seq}") for s in (one, two))
            )
            assert sorted(r.repeated for r in results) == [False, True]
            assert results[0].keys == results[1].keys
        assert len(await one.path(chat_id, ROOT)) == 30


async def test_changes_to_a_chat_by_many_at_once_keep_it_whole(store_url: str) -> None:
    """Swipes, appends, forks and choices of two processes: each chat stays one that could have
    come about one step at a time."""
    async with PostgresStore(store_url) as one, PostgresStore(store_url) as two:
        chat_id = await new_chat(one, 3)

        async def act(store: PostgresStore, n: int) -> None:
            choices = random.Random(n)
            for step in range(12):
                seq = await store.next_seq(chat_id, ROOT)
                calls = [
                    store.append([message(chat_id, seq, f"{n} {step}")]),
                    store.add_candidate(message(chat_id, seq - 1, f"{n} {step}")),
                    store.choose(MessageKey(chat_id, ROOT, seq - 1, 0)),
                    store.fork(chat_id, ROOT, seq, 0),
                    store.seal(),
                ]
                chosen = choices.randrange(len(calls))
                for index, call in enumerate(calls):
                    if index != chosen:
                        call.close()
                try:
                    await calls[chosen]
                except Conflict:
                    continue

        await asyncio.gather(*(act(s, n) for n, s in enumerate((one, two, one, two))))
        turns = await one.path(chat_id, ROOT)
        assert [turn.seq for turn in turns] == list(range(len(turns)))
        for turn in turns:
            assert [m.key.alt for m in turn.candidates] == list(range(len(turn.candidates)))
            assert sum(m.chosen for m in turn.candidates) == 1
        branches = (await one.chat(chat_id)).branches
        assert [b.branch for b in branches] == list(range(len(branches)))


async def test_deleting_while_others_write_leaves_no_row(
    store: PostgresStore, store_url: str
) -> None:
    async with PostgresStore(store_url) as other:
        for _ in range(10):
            chat_id = await new_chat(store, 3)
            await asyncio.gather(
                *(store.append([message(chat_id, 3 + n)]) for n in range(3)),
                *(other.append([message(chat_id, 6 + n)], f"c{n}") for n in range(3)),
                other.add_candidate(message(chat_id, 2)),
                store.delete_chat(chat_id),
                return_exceptions=True,
            )
            assert _rows_left(store_url, chat_id) == 0


def _rows_left(dsn: str, chat_id: UUID) -> int:
    with psycopg.connect(dsn) as connection:
        left = connection.execute(
            "SELECT (SELECT count(*) FROM chat.message WHERE chat_id = %(c)s)"
            " + (SELECT count(*) FROM chat.sent WHERE chat_id = %(c)s)"
            " + (SELECT count(*) FROM chat.inbox WHERE chat_id = %(c)s)",
            {"c": chat_id},
        ).fetchone()
    assert left is not None
    return int(left[0])


async def test_connections_cut_in_mid_write_lose_and_double_nothing(store_url: str) -> None:
    """Thirty chats talk while connections are terminated at random moments."""
    rounds, cuts = 15, 0
    async with PostgresStore(store_url, max_connections=5) as store:
        chats = [await new_chat(store) for _ in range(30)]
        done = asyncio.Event()

        async def cut() -> None:
            nonlocal cuts
            async with await psycopg.AsyncConnection.connect(store_url, autocommit=True) as killer:
                while not done.is_set():
                    await killer.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        " AND random() < 0.4"
                    )
                    cuts += 1
                    await asyncio.sleep(random.uniform(0, 0.1))

        async def talk(chat_id: UUID) -> list[str]:
            said = ["turn 0"]
            seq = 1
            for n in range(rounds):
                answer = message(chat_id, seq + 1, "", speaker=BRAM, state=State.STREAMING)
                question = message(chat_id, seq, f"q {n}")
                appended = await store.append([question, answer], f"send {n}", live(answer.key))
                assert appended == ([question.key, answer.key], False)
                await store.checkpoint(answer.key, "half")
                await store.settle(answer.key, State.COMPLETE, f"a {n}", {})
                again = await store.append([message(chat_id, seq + 2)], f"send {n}")
                assert again.repeated
                swiped = message(chat_id, seq + 1, f"b {n}")
                assert (await store.add_candidate(swiped)).alt == 1
                said += [f"q {n}", f"b {n}"]
                seq += 2
            return said

        cutter = asyncio.create_task(cut())
        said = await asyncio.gather(*(talk(chat_id) for chat_id in chats))
        done.set()
        await cutter
        assert cuts > 10
        for chat_id, lines in zip(chats, said, strict=True):
            turns = await store.path(chat_id, ROOT)
            assert bodies(turns) == lines
            assert all(len(turn.candidates) == 2 for turn in turns[2::2])


async def test_cancelled_callers_lose_and_double_nothing(store: PostgresStore) -> None:
    chat_id = await new_chat(store)
    for seq in range(1, 40):
        task = asyncio.create_task(store.append([message(chat_id, seq)], f"send {seq}"))
        await asyncio.sleep(random.uniform(0, 0.004))
        task.cancel()
        appended = await store.append([message(chat_id, seq)], f"send {seq}")
        assert appended.keys == [MessageKey(chat_id, ROOT, seq, 0)]
    assert len(await store.path(chat_id, ROOT)) == 40


async def test_closing_writes_what_waits(store_url: str) -> None:
    async with PostgresStore(store_url) as store:
        chats = [await new_chat(store) for _ in range(20)]
        tasks = [asyncio.create_task(store.append([message(c, 1)])) for c in chats]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    async with PostgresStore(store_url) as store:
        assert all([len(await store.path(c, ROOT)) == 2 for c in chats])


async def test_a_database_that_stays_away_is_said_to_be_away() -> None:
    nowhere = "host=127.0.0.1 port=1 dbname=none"
    with pytest.raises(StoreUnavailable):
        async with PostgresStore(nowhere, patience_s=0.2):
            pass
