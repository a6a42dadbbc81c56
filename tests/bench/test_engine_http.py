"""The load and the accounting of the engine's HTTP benchmark, against the engine itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.engine_client import Memory
from bench.engine_consumer import shares, wire
from bench.engine_ideal import Unlimited
from bench.engine_loads import Chat, Visit, consumer, multi_turn
from bench.engine_models import SHIPPED
from bench.engine_run import Replay
from bench.engine_servers import Server

from bench import engine_servers
from troupe.prompt import block_hashes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = engine_servers.troupe(
        SHIPPED, 4, ("--threads", "1", "--kv-mb", "64", "--host-kv-mb", "0")
    )
    server.start(tmp_path_factory.mktemp("engine") / "log")
    yield server
    server.stop()


def test_with_room_the_engine_reuses_what_a_cache_without_end_would(server: Server) -> None:
    load = consumer(3, users=3, each=8, limit=700, old=1, messages=8)
    ran = Replay(server, load).run(load.visits, users=1)
    assert [len(one.answer.tokens) for one in ran.done] == [v.answer for v in load.visits]
    cached, ideal = shares(ran.done)
    assert cached == ideal > 0.5


def test_only_what_is_new_is_sent(server: Server) -> None:
    load = consumer(4, users=2, each=3, limit=1000, old=1, messages=1)
    ran = Replay(server, load).run(load.visits, users=2)
    turns = [one for one in ran.done if one.returning and one.visit.kind == "turn"]
    assert turns
    fixed = 600  # headers and options
    for one in turns:
        assert one.answer.sent < fixed + 3 * (len(one.visit.said) + 17)
    assert wire(ran.done) < 1


def test_paced_users_make_their_visits_in_order(server: Server) -> None:
    load = consumer(5, users=2, each=3, limit=600, old=1, messages=2)
    hurried = [Visit(v.chat, v.kind, v.said, 4, v.user) for v in load.visits]
    ran = Replay(server, load).run_paced(hurried)
    for user in (0, 1):
        own = [one.visit for one in ran.done if one.visit.user == user]
        assert own == [visit for visit in hurried if visit.user == user]


def test_a_cache_without_end_reuses_all_but_the_last_token() -> None:
    cache = Unlimited()
    assert cache.run([1, 2, 3]) == 0
    assert cache.run([1, 2, 3]) == 2
    cache.keep([1, 2, 3, 4, 5])
    assert cache.run([1, 2, 3, 4, 5, 6]) == 5
    assert cache.run([1, 9, 3, 4]) == 1
    assert cache.tokens == 9


def test_a_swipe_asks_for_the_answer_again_and_an_edit_for_another_question() -> None:
    chat = Chat((1, 2), 100)
    assert chat.prompt(Visit(0, "turn", (3, 4), 5)) == [1, 2, 3, 4]
    chat.answered((5, 6))
    assert chat.prompt(Visit(0, "swipe", (), 5)) == [1, 2, 3, 4]
    chat.answered((7,))
    assert chat.prompt(Visit(0, "edit", (8,), 5)) == [1, 2, 8]
    chat.answered((9,))
    assert chat.prompt(Visit(0, "turn", (10,), 5)) == [1, 2, 8, 9, 10]


def test_prompts_stay_within_the_limit_and_share_their_beginning_between_cuts() -> None:
    load = consumer(6, users=1, each=60, limit=1024, old=1, messages=30)
    chats, cuts = load.chats(), 0
    last: dict[int, list[int]] = {}
    for visit in load.visits:
        prompt = chats[visit.chat].prompt(visit)
        assert len(prompt) + visit.answer <= 1024
        old = last.get(visit.chat, [])
        head = len(load.heads[visit.chat])
        cuts += prompt[: head + 1] != old[: head + 1]
        last[visit.chat] = prompt
        chats[visit.chat].answered((300,) * visit.answer)
    assert cuts < len(load.visits) / 2


def test_a_prefix_is_named_by_the_hash_that_the_engine_makes() -> None:
    rng = random.Random(7)
    tokens = [rng.randrange(4096) for _ in range(100)]
    memory = Memory()
    assert memory.split(tokens[:50]) == (0, b"")
    memory.answered(tokens[50:71])
    assert memory.split(tokens) == (64, block_hashes(tokens)[3])
    assert memory.split([*tokens[:40], 1, 2]) == (32, block_hashes(tokens)[1])


def test_loads_come_from_their_seed() -> None:
    assert consumer(1, 2, 3, 4096) == consumer(1, 2, 3, 4096)
    assert multi_turn(1, 3, 4096) == multi_turn(1, 3, 4096) != multi_turn(2, 3, 4096)


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = engine_servers.troupe(tmp_path, 1, ())
    with pytest.raises(SystemExit, match=r"config\.json does not exist"):
        broken.start(tmp_path / "log")
