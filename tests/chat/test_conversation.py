"""A conversation over the socket: greeting, sending, streaming, swiping, branching."""

from __future__ import annotations

import asyncio
import json

from tests.support.chat_server import ChatServer


async def test_a_new_chat_greets_with_names_filled_in(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = await ada.new_chat()
    turns = await ada.turns(chat["id"])
    assert [m["body"] for m in turns[0]["candidates"]] == [
        "*Mira looks up.* Hello, Ada.",
        "Oh. It is you, Ada.",
    ]
    assert {m["name"] for m in chat["members"]} == {"Ada", "Mira"}


async def test_an_answer_streams_and_is_kept(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await socket.send("send", id="a", chat=chat, branch=0, client_id="c1", text="Hello there")
        accepted = await socket.until("accepted")
        assert accepted["id"] == "a"
        assert [m["body"] for m in accepted["messages"]] == ["Hello there", ""]
        answer = accepted["messages"][1]["id"]
        done = await socket.until("done")
    assert done["message"] == answer
    assert done["state"] == "complete"
    assert done["body"] == "You said: Hello there " == socket.told[answer].text
    assert done["meta"]["model"] == "scripted:one"
    assert done["meta"]["cached_tokens"] == 40
    turns = await ada.turns(chat)
    assert [t["candidates"][t["chosen"]]["body"] for t in turns[1:]] == [
        "Hello there",
        "You said: Hello there ",
    ]
    assert turns[2]["candidates"][0]["meta"]["finish_reason"] == "stop"


async def test_the_same_client_id_changes_nothing(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        frame = {"id": "a", "chat": chat, "branch": 0, "client_id": "c1", "text": "Hi"}
        await socket.send("send", **frame)
        first = await socket.until("accepted")
        await socket.until("done")
        await socket.send("send", **frame)
        again = await socket.until("accepted")
    assert [m["id"] for m in again["messages"]] == [m["id"] for m in first["messages"]]
    assert again["messages"][1]["body"] == "You said: Hi "
    assert len(await ada.turns(chat)) == 3


async def test_regenerating_the_last_answer_adds_a_candidate(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        done = await ada.say(socket, chat, "Hi")
        await socket.send("regenerate", id="r", message=done["message"])
        accepted = await socket.until("accepted")
        assert accepted["branch"] == 0
        again = await socket.until("done")
    assert again["message"].endswith(".2.1")
    turns = await ada.turns(chat)
    assert turns[2]["chosen"] == 1
    assert len(turns[2]["candidates"]) == 2


async def test_regenerating_an_earlier_answer_makes_a_branch(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        first = await ada.say(socket, chat, "one")
        await ada.say(socket, chat, "two")
        await socket.send("regenerate", id="r", message=first["message"], branch=0)
        accepted = await socket.until("accepted")
        branch = accepted["branch"]
        assert branch != 0
        await socket.until("done")
        done = await ada.say(socket, chat, "other", branch=branch)
        assert done["state"] == "complete"
    old = await ada.turns(chat, branch=0)
    new = await ada.turns(chat, branch=branch)
    assert [t["seq"] for t in old] == [0, 1, 2, 3, 4]
    assert [t["seq"] for t in new] == [0, 1, 2, 3, 4]
    assert (old[2]["chosen"], new[2]["chosen"]) == (0, 1)
    assert new[3]["candidates"][0]["body"] == "other"
    sent = server.models.requests[-1].messages
    assert sent is not None
    assert [m["content"] for m in sent[1:]] == [
        "*Mira looks up.* Hello, Ada.",
        "one",
        "You said: one ",
        "other",
    ]


async def test_choosing_the_last_turns_candidate_stays_on_the_branch(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    greeting = (await ada.turns(chat))[0]["candidates"][1]["id"]
    answer = await ada.http.post(f"/messages/{greeting}/choose", json={"branch": 0})
    assert answer.status_code == 200
    assert answer.json()["branch"] == 0
    assert answer.json()["turn"]["chosen"] == 1
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "Hi")
    sent = server.models.requests[-1].messages
    assert sent is not None
    assert sent[1]["content"] == "Oh. It is you, Ada."


async def test_editing_in_the_middle_makes_a_branch(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "one")
        await ada.say(socket, chat, "two")
    mine = (await ada.turns(chat))[1]["candidates"][0]["id"]
    edited = await ada.http.post(f"/messages/{mine}/edit", json={"branch": 0, "text": "ONE"})
    assert edited.status_code == 200, edited.text
    branch = edited.json()["branch"]
    assert branch != 0
    turns = await ada.turns(chat, branch=branch)
    assert [t["candidates"][t["chosen"]]["body"] for t in turns][1:] == ["ONE"]


async def test_a_stopped_answer_keeps_its_text_and_can_be_continued(server: ChatServer) -> None:
    server.models.gate = asyncio.Event()
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await socket.send("send", id="a", chat=chat, branch=0, client_id="c", text="a b c")
        answer = (await socket.until("accepted"))["messages"][1]["id"]
        await socket.until("delta")
        await socket.send("cancel", message=answer)
        done = await socket.until("done")
        assert (done["state"], done["body"]) == ("stopped", "You ")
        server.models.gate.set()
        server.models.script = lambda request: ["and ", "on"]
        await socket.send("continue", id="b", message=answer)
        await socket.until("accepted")
        start = await socket.until("start")
        assert start["text"] == "You "
        done = await socket.until("done")
    assert done["message"] == answer
    assert done["body"] == "You and on" == socket.told[answer].text
    assert server.models.aborted == 1


async def test_erasing_a_turn_leaves_the_rest_usable(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "one")
        assert (await ada.http.delete(f"/chats/{chat}/turns/0/2")).status_code == 204
        assert [t["seq"] for t in await ada.turns(chat)] == [0, 1]
        await ada.say(socket, chat, "two")
    assert [t["seq"] for t in await ada.turns(chat)] == [0, 1, 3, 4]


async def test_an_answer_streams_over_http_too(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    frames = []
    body = {"client_id": "c", "text": "Hi"}
    async with ada.http.stream("POST", f"/chats/{chat}/send", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                frames.append(json.loads(line[6:]))
    assert [f["type"] for f in frames[:2]] == ["accepted", "start"]
    assert frames[-1]["type"] == "done"
    assert "".join(f["text"] for f in frames if f["type"] == "delta") == frames[-1]["body"]
