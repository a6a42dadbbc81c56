"""What the chat store costs over a bare statement that does the same, and what sealing saves.

    python -m bench.store [DSN]

Uses the database of the DSN or of TROUPE_TEST_DATABASE_URL (in a fresh database of its own there),
else a PostgreSQL that it starts. Store and bare statement take turns, so that both meet the same
noise. The bare append is one plain statement that writes the same rows (message, idempotency key,
inbox line), the bare read one `SELECT` of the same rows, fetched; both prepared, on a connection
of their own. All runs on uvloop, as the `web` process does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import re
import statistics
import sys
import tempfile
import time
import tomllib
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import uvloop
from matplotlib.figure import Figure
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb, set_json_loads

sys.path.insert(0, str(Path(__file__).parent.parent))
import itertools

from bench.common import report

from troupe.chat.store import PostgresStore
from troupe.chat.store.migrations import migrate
from troupe.chat.store.types import ROOT, Member, Message, MessageKey, State
from troupe.ops.postgres import running

TURNS = 200
SEEDS = Path(__file__).parent.parent / "src/troupe/core/seeds/characters"
META = {
    "model": "troupe-small",
    "provider": "troupe",
    "sampling": {"temperature": 0.8, "top_p": 0.95, "max_tokens": 512},
    "finish_reason": "stop",
    "template": "chat@1",
    "version_id": str(uuid4()),
}

BARE_APPEND = b"""
WITH noted AS (
    INSERT INTO chat.sent (chat_id, client_id, keys, sent_at)
    VALUES (%(chat)s, %(client)s, %(keys)s, %(at)s)
), told AS (
    UPDATE chat.inbox SET last_line = left(%(body)s, 160), last_at = %(at)s
    WHERE chat_id = %(chat)s
)
INSERT INTO chat.message
    (chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta)
VALUES (%(chat)s, 0, %(seq)s, 0, %(speaker)s, 'complete', true, %(body)s, %(at)s, %(meta)s)
"""
BARE_INSERT = b"""
INSERT INTO chat.message
    (chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta)
VALUES (%(chat)s, 0, %(seq)s, 0, %(speaker)s, 'complete', true, %(body)s, %(at)s, %(meta)s)
"""
BARE_READ = b"""
SELECT chat_id, branch, seq, alt, speaker, state, chosen, body, created_at, meta
FROM chat.message WHERE chat_id = %s AND branch = 0 ORDER BY seq, alt
"""


class Words:
    """Prose of the seed characters' vocabulary: each word follows the last as it does there."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        text = " ".join(
            value
            for file in sorted(SEEDS.glob("*.toml"))
            for value in tomllib.loads(file.read_text("utf-8")).values()
            if isinstance(value, str)
        )
        words = re.findall(r"\S+", text)
        self._after: dict[str, list[str]] = {}
        for first, second in itertools.pairwise(words):
            self._after.setdefault(first, []).append(second)
        self._all = words

    def say(self, mean: int) -> str:
        """About `mean` words."""
        word = self._random.choice(self._all)
        said = [word]
        for _ in range(max(1, int(self._random.expovariate(1 / mean)))):
            word = self._random.choice(self._after.get(word) or self._all)
            said.append(word)
        return " ".join(said)


def messages(chat_id: UUID, user: str, words: Words) -> list[Message]:
    """A conversation of `TURNS` messages: short questions, longer answers."""
    made = []
    for seq in range(TURNS):
        mine = seq % 2 == 1
        usage = {"prompt_tokens": 40 * seq, "completion_tokens": 80, "total_ms": 900 + seq}
        made.append(
            Message(
                MessageKey(chat_id, ROOT, seq, 0),
                user if mine else "char:" + str(UUID(int=7)),
                State.COMPLETE,
                words.say(15 if mine else 60),
                datetime.now(UTC),
                True,
                {} if mine else META | usage,
            )
        )
    return made


async def new_chat(store: PostgresStore, words: Words) -> UUID:
    """A chat with `TURNS` messages."""
    chat_id, user = uuid4(), f"user:{uuid4()}"
    members = (Member(user, "Anna"), Member("char:" + str(UUID(int=7)), "Bram"))
    first, *rest = messages(chat_id, user, words)
    await store.create_chat(chat_id, "A chat", members, [first], {})
    for start in range(0, len(rest), 20):
        await store.append(rest[start : start + 20])
    return chat_id


async def timed(call: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds that it took."""
    began = time.perf_counter()
    await call()
    return 1e3 * (time.perf_counter() - began)


Times = dict[str, list[float]]


async def in_turns(calls: dict[str, Callable[[], Awaitable[Any]]], rounds: int) -> Times:
    """Milliseconds of each call, all taking turns in changing order, after some that do not
    count."""
    times: Times = {name: [] for name in calls}
    names = list(calls)
    for n in range(-20, rounds):
        random.shuffle(names)
        for name in names:
            took = await timed(calls[name])
            if n >= 0:
                times[name].append(took)
    return times


def p(times: list[float], percent: int) -> float:
    """A percentile."""
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


async def appends(store: PostgresStore, bare: Any, insert: Any, words: Words, rounds: int) -> Times:
    """One message at a time, by the store and by plain statements, each on a connection of its
    own: who is asked twice as often finds the server's caches warmer."""
    chats = {name: await new_chat(store, words) for name in ("store", "bare", "insert")}
    seqs = dict.fromkeys(chats, TURNS)
    body = words.say(40)

    def next_message(name: str) -> Message:
        seqs[name] += 1
        key = MessageKey(chats[name], ROOT, seqs[name], 0)
        return Message(key, "user:" + str(UUID(int=9)), State.COMPLETE, body, datetime.now(UTC))

    async def by_store() -> None:
        await store.append([next_message("store")], uuid4().hex)

    async def by_statement(connection: Any, name: str, statement: bytes) -> None:
        message = next_message(name)
        await connection.execute(
            statement,
            {
                "chat": message.key.chat_id,
                "seq": message.key.seq,
                "speaker": message.speaker,
                "body": message.body,
                "at": message.created_at,
                "meta": Jsonb(message.meta),
                "client": uuid4().hex,
                "keys": Jsonb([list(message.key[1:])]),
            },
        )

    return await in_turns(
        {
            "store": by_store,
            "bare": lambda: by_statement(bare, "bare", BARE_APPEND),
            "insert": lambda: by_statement(insert, "insert", BARE_INSERT),
        },
        rounds,
    )


async def reads(store: PostgresStore, bare: Any, words: Words, rounds: int) -> Times:
    """A path of `TURNS` messages: rows, and the same sealed, against a plain statement."""
    rows, sealed = await new_chat(store, words), await new_chat(store, words)
    await bare.execute("DELETE FROM chat.ripe WHERE chat_id = %s", (rows,))
    while await store.seal():
        continue
    await bare.execute("VACUUM ANALYZE chat.message")
    await bare.execute("VACUUM ANALYZE chat.segment")

    async def by_statement() -> None:
        cursor = await bare.execute(BARE_READ, (rows,))
        assert len(await cursor.fetchall()) == TURNS

    async def by_store(chat_id: UUID) -> None:
        assert len(await store.path(chat_id, ROOT)) == TURNS

    return await in_turns(
        {
            "store": lambda: by_store(rows),
            "sealed": lambda: by_store(sealed),
            "bare": by_statement,
        },
        rounds,
    )


async def crowd(store: PostgresStore, bare: Any, words: Words, chats: int) -> dict[str, float]:
    """Many chats at once: rows a second, transaction ids a row."""
    ids = [await new_chat(store, words) for _ in range(4)]
    ids += [uuid4() for _ in range(chats - len(ids))]
    for chat_id in ids[4:]:
        await store.create_chat(chat_id, "x", [Member(f"user:{chat_id}", "A")], [], {})
    body, each = words.say(40), 20

    async def talk(chat_id: UUID) -> None:
        for seq in range(TURNS, TURNS + each):
            key = MessageKey(chat_id, ROOT, seq, 0)
            message = Message(key, f"user:{chat_id}", State.COMPLETE, body, datetime.now(UTC))
            await store.append([message], uuid4().hex)

    before = await _next_id(bare)
    began = time.perf_counter()
    await asyncio.gather(*(talk(chat_id) for chat_id in ids))
    took = time.perf_counter() - began
    used = await _next_id(bare) - before
    written = each * len(ids)
    return {"rows_per_s": written / took, "ids_per_row": used / written}


async def disk(store: PostgresStore, bare: Any, words: Words, chats: int) -> dict[str, float]:
    """Bytes a message on disk: as rows; with what is ripe sealed; of the sealed messages alone."""
    for table in ("message", "segment", "ripe"):
        await bare.execute(sql.SQL("TRUNCATE chat.{}").format(sql.Identifier(table)))
    for _ in range(chats):
        await new_chat(store, words)
    before = await _sizes(bare)
    while await store.seal():
        continue
    after = await _sizes(bare)
    cursor = await bare.execute("SELECT count(*) FROM chat.message")
    sealed = chats * TURNS - (await cursor.fetchone())[0]
    return {
        "rows": before["message"] / (chats * TURNS),
        "sealing": sum(after.values()) / (chats * TURNS),
        "sealed": after["segment"] / sealed,
    }


async def _sizes(bare: Any) -> dict[str, int]:
    """Bytes of a table without what was deleted from it. A snapshot somewhere on the server can
    keep deleted rows alive, so it takes the least of several looks."""
    sizes: dict[str, int] = {}
    for table in ("message", "segment"):
        for _ in range(5):
            await bare.execute(sql.SQL("VACUUM FULL chat.{}").format(sql.Identifier(table)))
            cursor = await bare.execute(
                "SELECT pg_total_relation_size(%s::regclass)", (f"chat.{table}",)
            )
            size = (await cursor.fetchone())[0]
            sizes[table] = min(size, sizes.get(table, size))
            await asyncio.sleep(0.3)
    return sizes


async def _next_id(bare: Any) -> int:
    cursor = await bare.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    return int((await cursor.fetchone())[0])


@contextlib.contextmanager
def database(given: str | None) -> Iterator[str]:
    """DSN of a fresh, migrated database."""
    with contextlib.ExitStack() as stack:
        if given is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            given = stack.enter_context(running(folder)).dsn
        name = f"bench_{uuid.uuid4().hex}"
        server = stack.enter_context(psycopg.connect(given, autocommit=True))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            dsn = make_conninfo(given, dbname=name)
            migrate(dsn)
            yield dsn
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def measure(dsn: str, rounds: int) -> dict[str, Any]:
    """All of it."""
    words = Words(1)
    async with PostgresStore(dsn) as store:
        bare = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        insert = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        async with bare, insert:
            bare.prepare_threshold = insert.prepare_threshold = 0
            set_json_loads(orjson.loads, bare)
            return {
                "append": await appends(store, bare, insert, words, rounds),
                "read": await reads(store, bare, words, rounds),
                "crowd": await crowd(store, bare, words, 500),
                "disk": await disk(store, bare, words, 50),
            }


def draw(figure: Figure, found: dict[str, Any]) -> None:
    """Delays as cumulative shares: appends beside reads."""
    for axes, what in zip(figure.subplots(1, 2), ("append", "read"), strict=True):
        for name, times in found[what].items():
            share = [n / len(times) for n in range(1, len(times) + 1)]
            axes.plot(sorted(times), share, label=name)
        axes.set(title=what, xlabel="ms", ylabel="share", xscale="log")
        axes.legend()


def main() -> None:
    """Run all and write bench/results/store.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn", nargs="?", default=os.environ.get("TROUPE_TEST_DATABASE_URL"))
    parser.add_argument("--rounds", type=int, default=1500)
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    with database(options.dsn) as dsn:
        found = uvloop.run(measure(dsn, options.rounds))
    append, read, on_disk = found["append"], found["read"], found["disk"]
    ratios = {
        f"{what}_ratio_p{percent}": p(times["store"], percent) / p(times["bare"], percent)
        for what, times in (("append", append), ("read", read))
        for percent in (50, 99)
    }
    for percent in (50, 99):
        ratios[f"read_sealed_ratio_p{percent}"] = p(read["sealed"], percent) / p(
            read["bare"], percent
        )
        ratios[f"append_over_insert_ratio_p{percent}"] = p(append["store"], percent) / p(
            append["insert"], percent
        )
    labels = {
        "append": ("append by the store", {"bare": "same rows, one plain statement"}),
        "read": (f"{TURNS} messages by the store", {"bare": "same rows, one plain SELECT"}),
    }
    lines: list[tuple[str, float, str]] = []
    for what, times in (("append", append), ("read", read)):
        title, names = labels[what]
        for name, values in times.items():
            label = title if name == "store" else names.get(name, name)
            lines += [(f"{label}: p{n}", p(values, n), "ms") for n in (50, 99)]
    lines += [(key, value, "x") for key, value in ratios.items()]
    lines += [
        ("500 chats at once: appends", found["crowd"]["rows_per_s"], "a second"),
        ("500 chats at once: transaction ids", found["crowd"]["ids_per_row"], "an append"),
        ("disk, all rows", on_disk["rows"], "bytes a message"),
        (f"disk, {TURNS}-message chats with sealing", on_disk["sealing"], "bytes a message"),
        ("disk, sealed messages alone", on_disk["sealed"], "bytes a message"),
        ("load of the machine before", load, ""),
    ]
    figures = {
        **ratios,
        "crowd_appends_per_s": found["crowd"]["rows_per_s"],
        "crowd_ids_per_append": found["crowd"]["ids_per_row"],
        "disk_ratio": on_disk["sealing"] / on_disk["rows"],
        "disk_sealed_ratio": on_disk["sealed"] / on_disk["rows"],
    }
    report(
        "store",
        figures,
        lines,
        ("psycopg", "psycopg-pool", "orjson", "zstandard"),
        lambda figure: draw(figure, found),
        {
            "load_of_the_machine_before": load,
            "command": "python -m bench.store",
            "messages": TURNS,
            "ms": {
                f"{what}_{name}_p{n}": round(p(times, n), 3)
                for what in ("append", "read")
                for name, times in found[what].items()
                for n in (50, 99)
            },
        },
    )


if __name__ == "__main__":
    main()
