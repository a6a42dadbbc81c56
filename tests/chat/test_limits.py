"""Overload is refused clearly, and one branch has one writer."""

from __future__ import annotations

import asyncio

import pytest
import websockets

from tests.support.chat_server import ChatServer
from troupe.chat.limits import Bucket


async def test_a_branch_has_one_generation_at_a_time(server: ChatServer) -> None:
    server.models.gate = asyncio.Event()
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    frame = {"chat": chat, "branch": 0, "text": "a b"}
    async with await ada.socket() as socket:
        await socket.send("send", id="1", client_id="one", **frame)
        answer = (await socket.until("accepted"))["messages"][1]["id"]
        await socket.until("delta")
        await socket.send("send", id="2", client_id="two", **frame)
        assert (await socket.receive())["code"] == "busy"
        await socket.send("regenerate", id="3", message=answer)
        assert (await socket.receive())["code"] == "busy"
        for method, path, body in (
            ("POST", f"/messages/{answer}/edit", {"branch": 0, "text": "x"}),
            ("DELETE", f"/chats/{chat}/turns/0/2", None),
        ):
            assert (await ada.http.request(method, path, json=body)).status_code == 409
        # The first send again, while its answer is being written, follows that answer.
        await socket.send("send", id="4", client_id="one", **frame)
        again = await socket.until("accepted")
        assert again["messages"][1]["id"] == answer
        server.models.gate.set()
        await socket.until("done")
    assert len(await ada.turns(chat)) == 3


async def test_streams_beyond_the_cap_are_refused_before_anything_is_kept(
    server: ChatServer,
) -> None:
    server.service.generations.max_streams = 1
    server.models.gate = asyncio.Event()
    ada = server.user()
    first, second = (await ada.new_chat())["id"], (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await socket.send("send", id="1", chat=first, branch=0, client_id="c", text="a b")
        await socket.until("delta")
        await socket.send("send", id="2", chat=second, branch=0, client_id="c", text="a b")
        refused = await socket.receive()
        assert (refused["code"], refused["id"]) == ("overloaded", "2")
        assert refused["retry_after"] > 0
        assert len(await ada.turns(second)) == 1
        over_http = await ada.http.post(
            f"/chats/{second}/send", json={"client_id": "c", "text": "a"}
        )
        assert over_http.status_code == 503
        assert over_http.headers["retry-after"]
        server.models.gate.set()
        await socket.until("done")
        done = await ada.say(socket, second, "a b")
    assert done["state"] == "complete"


async def test_sockets_beyond_the_cap_are_refused_with_a_reason(server: ChatServer) -> None:
    server.sockets.max_sockets = 1
    ada = server.user()
    async with await ada.socket():
        with pytest.raises(websockets.InvalidStatus) as refused:
            await ada.raw_socket()
        assert refused.value.response.status_code == 503
        assert b"overloaded" in refused.value.response.body


async def test_a_user_who_asks_too_often_over_http_is_told_so(server: ChatServer) -> None:
    server.buckets.rate, server.buckets.burst = 0.001, 3
    ada, eve = server.user(), server.user()
    answers = [await ada.http.get("/chats") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["error"]["code"] == "overloaded"
    assert answers[-1].headers["retry-after"] == "1"
    assert (await eve.http.get("/chats")).status_code == 200


def test_a_bucket_allows_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=2.0, burst=3.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.4), bucket.take(0.5), bucket.take(0.6)] == [False, True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
