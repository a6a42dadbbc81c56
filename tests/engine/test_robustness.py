"""What strangers may do to a server: each gets an error of its own, and the engine goes on."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from tests.engine.serving import serving_in_thread
from troupe.engine.engine import Engine
from troupe.engine.exchange import EventStream
from troupe.engine.server import EngineServerOptions
from troupe.engine.types import EngineOptions

GREEDY = {"temperature": 0, "ignore_eos": True}
PATHS = ("/v1/completions", "/v1/chat/completions", "/v1/engine/dial")


@pytest.fixture(scope="module")
def served(checkpoint: Path) -> Iterator[tuple[str, Engine]]:
    options = EngineServerOptions(
        checkpoint,
        engine=EngineOptions(kv_bytes=2 * 2**20, max_sequences=4, max_waiting=16, step_tokens=24),
        max_body_bytes=20_000,
        max_bodies_bytes=60_000,
        body_seconds=0.5,
    )
    with serving_in_thread(options) as served:
        yield served


@pytest.fixture
def client(served: tuple[str, Engine]) -> Iterator[httpx.Client]:
    """A client, and the proof afterwards that nothing is lost and all goes on."""
    base, engine = served
    with httpx.Client(base_url=base, timeout=60) as client:
        yield client
        asyncio.run(engine.drained())
        engine.check_memory()
        answer = client.post("/v1/completions", json={"prompt": [2, 9], "max_tokens": 3, **GREEDY})
        assert answer.json()["usage"]["completion_tokens"] == 3


def connect(base: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(base.rsplit(":", 1)[1])), timeout=60)


def post(body: dict[str, Any], path: str = "/v1/completions") -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.sampled_from([[2, 9], "AgAJAA==", {"length": 16, "hash": "A" * 22}, [[16, "A" * 22]]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("model", "prompt", "messages", "max_tokens", "temperature", "top_k", "stop", "seed", "n"),
        *("prefix", "prompt_b64", "token_bytes", "return_prefix", "resume_token_ids", "logprobs"),
        *("stop_token_ids", "logit_bias", "stream", "stream_options", "cache_salt", "min_p"),
        *("response_format", "structured_outputs", "chat_template_kwargs", "tools", "ignore_eos"),
        *("step_tokens", "queue_target_s", "dry_multiplier", "xtc_probability"),
    ]
)
GOOD: list[dict[str, Any]] = [
    {"prompt": [2, 9, 30], "max_tokens": 2, "seed": 1},
    {"prefix": {"length": 16, "hash": "A" * 22, "marks": [[16, "A" * 22]]}, "prompt": [5]},
    {"prompt_b64": "AgAJAA==", "token_bytes": 2, "max_tokens": 2},
    {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2},
]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    base=st.sampled_from(GOOD),
    body=st.dictionaries(FIELDS, json_values, max_size=4),
    path=st.sampled_from(PATHS),
)
def test_bodies_made_at_random_are_answered_or_refused(
    client: httpx.Client, base: dict[str, Any], body: dict[str, Any], path: str
) -> None:
    method = "PUT" if path.endswith("dial") else "POST"
    answer = client.request(method, path, json={**base, "max_tokens": 2, **body})
    assert answer.status_code in (200, 400, 404, 409)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    base=st.sampled_from(GOOD),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), min_size=1, max_size=4),
)
def test_bodies_damaged_on_the_way_are_answered_or_refused(
    client: httpx.Client, base: dict[str, Any], cuts: list[tuple[float, bytes]]
) -> None:
    content = json.dumps(base).encode()
    for place, piece in cuts:
        at = int(place * len(content))
        content = content[:at] + piece + content[at + len(piece) :]
    answer = client.post("/v1/completions", content=content)
    assert answer.status_code in (200, 400, 404, 409)


@pytest.mark.parametrize("stream", [False, True])
def test_clients_that_go_away_at_any_stage_take_nothing_with_them(
    served: tuple[str, Engine], client: httpx.Client, stream: bool
) -> None:
    rng = random.Random(7)
    sent = post({"prompt": list(range(20, 200)), "max_tokens": 50, "stream": stream, **GREEDY})
    with ExitStack() as held:
        for _ in range(60):
            connection = held.enter_context(connect(served[0]))
            stage = rng.choice(["head", "body", "sent", "first", "some"])
            if stage in ("head", "body"):
                connection.sendall(sent[: rng.randrange(1, 60 if stage == "head" else len(sent))])
            else:
                connection.sendall(sent)
            if stage == "sent":
                time.sleep(rng.random() * 0.01)
            elif stage == "first":
                connection.recv(1)
            elif stage == "some":
                connection.recv(rng.randrange(1, 4000))
            if rng.random() < 0.5:  # reset rather than close
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()


def test_a_flood_beyond_the_queue_is_refused_and_the_rest_is_answered(
    served: tuple[str, Engine], client: httpx.Client
) -> None:
    """Two thousand requests on as many connections, all there at once."""
    statuses: Counter[bytes] = Counter()
    with ExitStack() as held:
        connections = [held.enter_context(connect(served[0])) for _ in range(2000)]
        for number, connection in enumerate(connections):
            connection.sendall(post({"prompt": [2, number % 400], "max_tokens": 4, **GREEDY}))
        for connection in connections:
            answer = connection.recv(65536)
            statuses[answer.split(b" ", 2)[1]] += 1
            if answer.startswith(b"HTTP/1.1 429"):
                assert b"retry-after: " in answer.lower()
    assert set(statuses) == {b"200", b"429"}
    assert sum(statuses.values()) == 2000
    assert statuses[b"200"] >= 20


def test_readers_that_take_nothing_hold_up_nobody(
    served: tuple[str, Engine], client: httpx.Client
) -> None:
    """A dozen streams that nobody reads: each answer is made and waits; others are served."""
    body = {"prompt": [2, 77], "max_tokens": 240, "stream": True, "return_token_ids": True}
    with ExitStack() as held:
        for _ in range(12):
            connection = held.enter_context(connect(served[0]))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(post({**body, **GREEDY}))
        asyncio.run(served[1].drained())
        answer = client.post("/v1/completions", json={"prompt": [2], "max_tokens": 5, **GREEDY})
        assert answer.status_code == 200


async def test_a_stream_ends_whose_reader_takes_nothing_for_long() -> None:
    closed = asyncio.Event()

    async def events() -> AsyncIterator[dict[str, str]]:
        try:
            while True:
                yield {"text": "x"}
        finally:
            closed.set()

    pieces = 0

    async def send(message: Message) -> None:
        nonlocal pieces
        if message["type"] == "http.response.body":
            pieces += 1
            if pieces == 3:
                await asyncio.Event().wait()  # the server's buffer is full for ever

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await EventStream(events(), {}, stall_s=0.05)({"type": "http"}, receive, send)
    assert closed.is_set()
    assert pieces == 3


def test_a_body_that_never_arrives_is_given_up(
    served: tuple[str, Engine], client: httpx.Client
) -> None:
    sent = post({"prompt": [2] * 50, "max_tokens": 2})
    with connect(served[0]) as connection:
        connection.sendall(sent[:-10])
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in answer


def test_bodies_together_are_bounded(served: tuple[str, Engine], client: httpx.Client) -> None:
    head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 19000\r\n\r\n"
    with ExitStack() as held:
        connections = [held.enter_context(connect(served[0])) for _ in range(8)]
        for connection in connections:
            connection.sendall(head.encode() + b" " * 18_000)
        statuses = Counter(connection.recv(65536).split(b" ", 2)[1] for connection in connections)
    assert set(statuses) == {b"408", b"429"}
    assert statuses[b"408"] == 3


def test_many_kinds_of_trouble_at_once_leave_the_good_answers_as_they_are(
    served: tuple[str, Engine], client: httpx.Client
) -> None:
    base, _ = served
    body = {"prompt": list(range(30, 90)), "max_tokens": 40, **GREEDY}
    expected = client.post("/v1/completions", json=body).json()["choices"][0]["text"]
    stop = threading.Event()

    def trouble(seed: int) -> None:
        rng = random.Random(seed)
        while not stop.is_set():
            with connect(base) as connection:
                kind = rng.randrange(4)
                if kind == 0:
                    connection.sendall(rng.randbytes(rng.randrange(200)))
                elif kind == 1:
                    connection.sendall(post({"prompt": [2] * 300}))
                    connection.recv(100)
                elif kind == 2:
                    asked = {"prompt": [2, rng.randrange(400)], "max_tokens": 200, "stream": True}
                    connection.sendall(post({**asked, **GREEDY}))
                    connection.recv(100)
                else:
                    turn = post({"step_tokens": rng.randrange(1, 90)}, PATHS[2])
                    connection.sendall(turn.replace(b"POST", b"PUT", 1))
                    assert connection.recv(100).startswith(b"HTTP/1.1 200")

    threads = [threading.Thread(target=trouble, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(12):
            answer = client.post("/v1/completions", json=body)
            if answer.status_code == 200:
                assert answer.json()["choices"][0]["text"] == expected
            else:
                assert answer.status_code == 429
    finally:
        stop.set()
        for thread in threads:
            thread.join()
