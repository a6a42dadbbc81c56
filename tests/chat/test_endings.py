"""Every answer ends in a state that a client can show, whatever happens to it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.chat_client import ChatClient, Frame
from tests.support.chat_server import ChatServer
from troupe.gateway.errors import BadRequest, ProviderUnavailable, UpstreamError


async def ending(ada: ChatClient, text: str = "a b c") -> Frame:
    """A new chat's first `done`."""
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        return await ada.say(socket, chat, text)


@pytest.mark.parametrize(
    ("failure", "after", "state", "code"),
    [
        (UpstreamError("broke"), 2, "interrupted", "model_unavailable"),
        (ProviderUnavailable("away"), 0, "interrupted", "model_unavailable"),
        (BadRequest("no"), 0, "failed", "bad_request"),
        (RuntimeError("a fault"), 0, "failed", "internal"),
        (RuntimeError("a fault"), 1, "interrupted", "internal"),
    ],
)
async def test_a_failure_keeps_what_was_produced_and_says_why(
    server: ChatServer, failure: Exception, after: int, state: str, code: str
) -> None:
    server.models.failure, server.models.fail_after = failure, after
    ada = server.user()
    done = await ending(ada)
    assert (done["state"], done["meta"]["error"]["code"]) == (state, code)
    assert done["body"] == "You said: a b c "[: len(done["body"])]
    kept = (await ada.http.get(f"/messages/{done['message']}")).json()
    assert (kept["state"], kept["body"]) == (state, done["body"])
    server.models.failure = None
    server.models.script = lambda request: ["and so on"]
    chat = done["message"].split(".")[0]
    async with await ada.socket() as socket:
        await socket.send("continue", id="1", message=done["message"])
        again = await socket.until("done")
        assert again["body"] == done["body"] + "and so on"
        assert "error" not in again["meta"]
        assert (await ada.say(socket, chat, "next"))["state"] == "complete"


async def test_a_model_that_is_not_there_is_refused_before_anything_is_kept(
    server: ChatServer,
) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    await ada.http.patch(f"/chats/{chat}", json={"model": "nothing"})
    async with await ada.socket() as socket:
        await socket.send("send", id="1", chat=chat, branch=0, client_id="c", text="Hi")
        assert (await socket.receive())["code"] == "model_unavailable"
    assert len(await ada.turns(chat)) == 1


async def test_a_server_that_stops_settles_what_runs_as_interrupted(server: ChatServer) -> None:
    server.models.gate = asyncio.Event()
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await socket.send("send", id="1", chat=chat, branch=0, client_id="c", text="a b c")
        await socket.until("delta")
        await server.service.generations.close()
        done = await socket.until("done")
        assert (done["state"], done["body"]) == ("interrupted", "You ")
        await socket.send("continue", id="2", message=done["message"])
        assert (await socket.receive())["code"] == "overloaded"
    turns = await ada.turns(chat)
    assert turns[2]["candidates"][0]["state"] == "interrupted"


async def test_deleting_a_chat_stops_what_is_written_in_it(server: ChatServer) -> None:
    server.models.gate = asyncio.Event()
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await socket.send("send", id="1", chat=chat, branch=0, client_id="c", text="a b c")
        await socket.until("delta")
        assert (await ada.http.delete(f"/chats/{chat}")).status_code == 204
        assert (await socket.until("done"))["state"] == "stopped"
    assert (await ada.http.get(f"/chats/{chat}")).status_code == 404
    assert (await ada.http.get("/chats")).json()["chats"] == []


async def test_an_answer_is_checkpointed_while_it_streams(server: ChatServer) -> None:
    server.models.script = lambda request: ["word "] * 60
    server.models.pace = 0.03
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await socket.send("send", id="1", chat=chat, branch=0, client_id="c", text="go")
        answer = (await socket.until("accepted"))["messages"][1]["id"]
        kept = ""
        while not kept:
            await socket.receive()
            kept = await server.stored_body(answer)
        assert socket.told[answer].done is None
        await socket.until("done")
        assert await server.stored_body(answer) == "word " * 60


async def test_continuing_an_answer_that_a_branch_shares_leaves_it_as_it_is(
    server: ChatServer,
) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        done = await ada.say(socket, chat, "Hi")
        branched = await ada.http.post(f"/chats/{chat}/branch", json={"branch": 0, "seq": 2})
        branch = branched.json()["branch"]
        server.models.script = lambda request: ["and more"]
        await socket.send("continue", id="1", message=done["message"], branch=0)
        longer = await socket.until("done")
        assert longer["message"] != done["message"]
        assert longer["body"] == done["body"] + "and more"
    shared = await ada.turns(chat, branch=branch)
    assert shared[2]["candidates"][shared[2]["chosen"]]["body"] == done["body"]


async def test_only_the_last_answer_can_be_continued(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        first = await ada.say(socket, chat, "one")
        await ada.say(socket, chat, "two")
        await socket.send("continue", id="1", message=first["message"])
        assert (await socket.receive())["code"] == "not_last"
        mine = first["message"].replace(".2.0", ".1.0")
        await socket.send("regenerate", id="2", message=mine)
        assert (await socket.receive())["code"] == "conflict"


async def test_what_a_model_writes_is_made_fit_to_keep_and_cut_at_a_limit(
    server: ChatServer,
) -> None:
    server.models.script = lambda request: ["a\x00b", "\ud83d", "🙂"]
    ada = server.user()
    assert (await ending(ada))["body"] == "a\ufffdb\ufffd🙂"
    server.models.script = lambda request: ["x" * 50_000] * 100
    done = await ending(ada)
    assert (done["state"], done["meta"]["finish_reason"]) == ("complete", "length")
    assert len(done["body"]) < 300_000
