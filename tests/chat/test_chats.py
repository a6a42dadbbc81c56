"""Chats over HTTP: listing, changing, personas, pages of turns."""

from __future__ import annotations

from uuid import uuid4

from tests.support.chat_server import ChatServer


async def test_chats_are_listed_newest_first_and_in_pages(server: ChatServer) -> None:
    ada = server.user()
    made = [(await ada.new_chat())["id"] for _ in range(5)]
    first = (await ada.http.get("/chats", params={"limit": 3})).json()
    rest = (await ada.http.get("/chats", params={"limit": 3, "before": first["next"]})).json()
    assert [c["id"] for c in first["chats"] + rest["chats"]] == made[::-1]
    assert rest["next"] is None
    assert (await server.user().http.get("/chats")).json()["chats"] == []


async def test_a_chat_is_renamed_and_given_a_model_and_sampling(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    change = {"title": "Night", "model": "scripted:one", "sampling": {"temperature": 0.3}}
    answer = (await ada.http.patch(f"/chats/{chat}", json=change)).json()
    assert (answer["title"], answer["model"]) == ("Night", "scripted:one")
    assert answer["sampling"] == {"temperature": 0.3}
    async with await ada.socket() as socket:
        done = await ada.say(socket, chat, "Hi")
    assert server.models.requests[-1].sampling.temperature == 0.3
    assert done["meta"]["sampling"]["temperature"] == 0.3
    cleared = await ada.http.patch(f"/chats/{chat}", json={"model": None, "sampling": None})
    assert (cleared.json()["model"], cleared.json()["sampling"]) == (None, {})


async def test_a_persona_names_the_user_in_greeting_and_prompt(server: ChatServer) -> None:
    ada = server.user("Ada")
    captain = server.rows.persona(ada.user_id, "Captain")
    doctor = server.rows.persona(ada.user_id, "Doctor", default=True)
    body = {"character": "mira", "persona": str(captain)}
    chat = (await ada.http.post("/chats", json=body)).json()
    assert "Hello, Captain." in (await ada.turns(chat["id"]))[0]["candidates"][0]["body"]
    changed = await ada.http.patch(f"/chats/{chat['id']}", json={"persona": str(doctor)})
    assert {m["name"] for m in changed.json()["members"]} == {"Doctor", "Mira"}
    async with await ada.socket() as socket:
        await ada.say(socket, chat["id"], "Hi")
    sent = server.models.requests[-1].messages
    assert sent is not None
    assert "Doctor" in sent[0]["content"]
    eves = server.rows.persona(uuid4(), "Eve")
    stolen = await ada.http.patch(f"/chats/{chat['id']}", json={"persona": str(eves)})
    assert stolen.status_code == 404
    plain = (await ada.new_chat())["id"]
    assert "Hello, Doctor." in (await ada.turns(plain))[0]["candidates"][0]["body"]


async def test_turns_come_in_pages(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        for number in range(4):
            await ada.say(socket, chat, str(number))
    last = (await ada.http.get(f"/chats/{chat}/turns", params={"limit": 4})).json()
    assert [t["seq"] for t in last["turns"]] == [5, 6, 7, 8]
    assert last["more"] is True
    before = {"limit": 200, "before": 5}
    first = (await ada.http.get(f"/chats/{chat}/turns", params=before)).json()
    assert [t["seq"] for t in first["turns"]] == [0, 1, 2, 3, 4]
    assert first["more"] is False


async def test_private_characters_are_for_their_owner(server: ChatServer) -> None:
    server.rows.character("secret", visibility="private")
    ada = server.user()
    answer = await ada.http.post("/chats", json={"character": "secret"})
    assert answer.status_code == 404
    owner = server.user("Owner", server.rows.owner)
    assert (await owner.http.post("/chats", json={"character": "secret"})).status_code == 201


async def test_a_branch_holds_the_turns_up_to_where_it_was_made(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "one")
        await ada.say(socket, chat, "two")
    made = await ada.http.post(f"/chats/{chat}/branch", json={"branch": 0, "seq": 2})
    branch = made.json()["branch"]
    assert [t["seq"] for t in await ada.turns(chat, branch=branch)] == [0, 1, 2]
    shown = (await ada.http.get(f"/chats/{chat}")).json()
    assert shown["active_branch"] == branch
    back = (await ada.http.patch(f"/chats/{chat}", json={"branch": 0})).json()
    assert back["active_branch"] == 0
    assert (await ada.http.get("/models")).json()["default"] == "scripted:one"
    missing = await ada.http.post(f"/chats/{chat}/branch", json={"branch": 0, "seq": 99})
    assert missing.status_code == 404
