"""Whatever strangers send gets a clear error and changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from typing import Any
from uuid import uuid4

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st

from tests.support.chat_client import ChatClient
from tests.support.chat_server import SECRET, ChatServer
from troupe import tokens
from troupe.chat.endpoints import ENDPOINTS
from troupe.chat.errors import BadFrame
from troupe.chat.frames import parse

CODES = {
    "bad_frame",
    "unauthorized",
    "expired",
    "not_found",
    "not_last",
    "busy",
    "conflict",
    "too_long",
    "overloaded",
    "model_unavailable",
}

VALUES: list[Any] = [
    None,
    True,
    -1,
    2**70,
    1.5,
    "",
    "x",
    "x" * 70_000,
    "a\x00b",
    "🙂" * 500,
    str(uuid4()),
    f"{uuid4()}.0.1.0",
    f"{uuid4()}.99999999999.1.0",
    "../../etc",
    [],
    [[[[]]]],
    {},
    {"a": {"b": {}}},
]


async def snapshot(ada: ChatClient, chat: str) -> Any:
    return (
        (await ada.http.get(f"/chats/{chat}")).json(),
        await ada.turns(chat),
        (await ada.http.get("/chats")).json(),
    )


def wild_frames(chat: str, message: str, rng: random.Random) -> list[str]:
    """Frames that are nearly right, and ones that are not at all."""
    good: list[dict[str, Any]] = [
        {"type": "send", "id": "1", "chat": chat, "branch": 0, "client_id": "c", "text": "Hi"},
        {"type": "regenerate", "id": "1", "message": message},
        {"type": "continue", "id": "1", "message": message},
        {"type": "cancel", "message": message},
        {"type": "resume", "message": message, "epoch": "e", "seq": 0},
        {"type": "hello", "v": 1, "token": "t"},
    ]
    frames = []
    for frame in good:
        for name in frame:
            for value in rng.sample(VALUES, 6):
                if value != frame[name]:
                    frames.append(json.dumps({**frame, name: value}))
            frames.append(json.dumps({k: v for k, v in frame.items() if k != name}))
        frames.append(json.dumps({**frame, "more": 1}))
    frames += ["", "{", "null", "[]", '"hello"', "[" * 60_000, "{}" * 10, '{"type":"\\ud800"}']
    frames += [json.dumps({**good[0], "text": "\ud83d"}), "x" * 70_000, "🙂" * 20_000]
    return frames


async def answer_to(raw: Any) -> tuple[str, str]:
    """What a socket answers to a frame: its type, and its code if it is an error."""
    frame = json.loads(await asyncio.wait_for(raw.recv(), 5))
    return frame["type"], frame.get("code", "")


async def test_wild_frames_are_refused_and_change_nothing(server: ChatServer) -> None:
    ada, eve = server.user("Ada"), server.user("Eve")
    chat = (await ada.new_chat())["id"]
    theirs = (await eve.new_chat())["id"]
    async with await eve.socket() as socket:
        done = await eve.say(socket, theirs, "mine")
    before = await snapshot(ada, chat), await snapshot(eve, theirs)
    for frame in wild_frames(theirs, done["message"], random.Random(1)):
        raw = await ada.raw_socket()
        await raw.send(json.dumps({"type": "hello", "v": 1, "token": ada.token}))
        assert await answer_to(raw) == ("ready", "")
        await raw.send(frame)
        kind, code = await answer_to(raw)
        assert kind == "error", frame[:200]
        assert code in CODES
        raw.transport.abort()
    assert (await snapshot(ada, chat), await snapshot(eve, theirs)) == before


async def test_the_socket_closes_after_the_third_bad_frame(server: ChatServer) -> None:
    ada = server.user()
    async with await ada.socket() as socket:
        for bad in ("nonsense", b"\x00\x01", '{"type":"unknown"}'):
            await socket.connection.send(bad)
            assert (await socket.receive())["code"] == "bad_frame"
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


async def test_a_flood_of_frames_closes_the_socket(server: ChatServer) -> None:
    ada = server.user()
    async with await ada.socket() as socket:

        async def flood() -> None:
            for _ in range(200):
                await socket.send("ping")
            while True:
                await socket.receive()

        with pytest.raises(websockets.ConnectionClosed) as closed:
            await flood()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4429


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"type": "ping"}, 4401),
        ({"type": "hello", "v": 1, "token": "nonsense"}, 4401),
        ({"type": "hello", "v": 2, "token": "nonsense"}, 4400),
    ],
)
async def test_a_socket_must_begin_with_a_good_hello(
    server: ChatServer, first: dict[str, Any], code: int
) -> None:
    raw = await server.user().raw_socket()
    await raw.send(json.dumps(first))
    assert (await answer_to(raw))[0] == "error"
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await raw.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def test_a_token_that_ran_out_starts_nothing_until_the_next_hello(
    server: ChatServer,
) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    short = tokens.sign(
        SECRET, ada.user_id, "Ada", guest=False, now=time.time() - tokens.LIFETIME_S + 2
    )
    raw = await ada.raw_socket()
    await raw.send(json.dumps({"type": "hello", "v": 1, "token": short}))
    assert await answer_to(raw) == ("ready", "")
    await asyncio.sleep(2.1)
    send = {"type": "send", "id": "1", "chat": chat, "branch": 0, "client_id": "c", "text": "Hi"}
    await raw.send(json.dumps(send))
    assert await answer_to(raw) == ("error", "expired")
    await raw.send(json.dumps({"type": "hello", "v": 1, "token": ada.token}))
    assert await answer_to(raw) == ("ready", "")
    await raw.send(json.dumps(send))
    assert await answer_to(raw) == ("accepted", "")
    await raw.close()


async def test_other_peoples_things_do_not_exist_over_http(server: ChatServer) -> None:
    ada, eve = server.user("Ada"), server.user("Eve")
    theirs = (await eve.new_chat())["id"]
    before = await snapshot(eve, theirs)
    bodies: dict[str, dict[str, Any]] = {
        "change_chat": {"title": "Stolen", "model": "x", "branch": 0},
        "send": {"client_id": "c", "text": "Hi"},
        "choose": {"branch": 0},
        "edit": {"branch": 0, "text": "changed"},
        "branch": {"branch": 0, "seq": 0},
    }
    for endpoint in ENDPOINTS:
        if "{" not in endpoint.path:
            continue
        path = endpoint.path.format(chat=theirs, message=f"{theirs}.0.0.1", branch=0, seq=0)
        answer = await ada.http.request(endpoint.method, path, json=bodies.get(endpoint.name))
        assert answer.status_code == 404, endpoint.name
        assert answer.json()["error"]["code"] == "not_found"
    assert await snapshot(eve, theirs) == before


async def test_wild_bodies_are_refused_and_change_nothing(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    before = await snapshot(ada, chat)
    rng = random.Random(2)
    raw_bodies = [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"text":"\\ud800"}']
    for endpoint in ENDPOINTS:
        if endpoint.body is None:
            continue
        path = endpoint.path.format(chat=chat, message=f"{chat}.0.0.1", branch=0, seq=0)
        wild = [json.dumps({"nothing": value}).encode() for value in rng.sample(VALUES, 3)]
        for name in endpoint.body.model_fields:
            values = rng.sample(VALUES, 4)
            wild += [json.dumps({name: value, "more": 1}).encode() for value in values]
        for body in raw_bodies + wild:
            if not body and endpoint.body_optional:
                continue
            answer = await ada.http.request(endpoint.method, path, content=body)
            assert answer.status_code in (400, 413), (endpoint.name, body[:80], answer.text)
            assert answer.json()["error"]["code"] in ("bad_frame", "too_long")
    huge = await ada.http.post(f"/chats/{chat}/send", content=b" " * 600_000)
    assert huge.status_code == 413
    long = {"client_id": "c", "text": "x" * (server.settings.max_message_chars + 1)}
    assert (await ada.http.post(f"/chats/{chat}/send", json=long)).status_code == 413
    assert await snapshot(ada, chat) == before


async def test_wild_paths_and_queries_are_refused(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    for path in (
        "/chats/nonsense",
        "/messages/nonsense",
        f"/messages/{chat}.0.0",
        f"/messages/{chat}.0.99999999999999.0",
        f"/messages/{chat}.-1.0.0",
        f"/messages/{chat}.7.0.0",
        f"/chats/{chat}%00",
    ):
        assert (await ada.http.get(path)).status_code == 404, path
    for query in ("limit=0", "limit=x", "limit=1000", "before=-1", "branch=x", "more=1"):
        assert (await ada.http.get(f"/chats/{chat}/turns?{query}")).status_code == 400, query
    assert (await ada.http.get(f"/chats/{chat}/turns?branch=5")).status_code == 404
    assert (await ada.http.get("/chats?before=yesterday")).status_code == 400


async def test_http_needs_a_good_token(server: ChatServer) -> None:
    ada = server.user()
    for header in ("", "Bearer", "Bearer x", "Basic eA==", f"Bearer {ada.token}x"):
        answer = await ada.http.get("/chats", headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.json()["error"]["code"] == "unauthorized"
    old = tokens.sign(SECRET, ada.user_id, "Ada", guest=False, now=0)
    answer = await ada.http.get("/chats", headers={"Authorization": f"Bearer {old}"})
    assert answer.json()["error"]["code"] == "expired"


@given(
    st.text(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ).map(lambda value: json.dumps({"type": "send", "id": value, "text": value}))
)
def test_any_text_parses_or_is_a_bad_frame(raw: str) -> None:
    with contextlib.suppress(BadFrame):
        parse(raw)
