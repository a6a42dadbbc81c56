"""Pins, a chat's memory and lorebooks, from the request to the prompt."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.chat.test_prompts import joined, prompt, talk
from tests.support.chat_client import ChatClient
from tests.support.chat_server import ChatServer, fresh_server
from tests.support.scripted import MODEL, Letters, ScriptedModels
from troupe.gateway.types import ModelInfo
from troupe.prompt import ChatFormat

LAMP = {
    "keys": ["lamp"], "secondary_keys": [], "constant": False, "case_sensitive": False,
    "order": 5, "priority": 5, "content": "{{char}}'s lamp burns oil for {{user}}.",
}  # fmt: skip
BOOK = {"scan_depth": 2, "token_budget": 120, "entries": [LAMP]}


@pytest.fixture
def model() -> ModelInfo:
    """A model that is given token ids, with room for about a dozen messages."""
    return replace(MODEL, chat_format=ChatFormat.TOKENS, tokenizer=Letters(), context_length=1600)


@pytest.fixture
def models(model: ModelInfo) -> ScriptedModels:
    return ScriptedModels(model=model)


async def change(who: ChatClient, chat: str, **body: Any) -> dict[str, Any]:
    answer = await who.http.patch(f"/chats/{chat}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def pin(who: ChatClient, message: str) -> dict[str, Any]:
    answer = await who.http.post(f"/messages/{message}/pin")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def said_before(text: str) -> str:
    """What stands before the history."""
    return text.split("<|end|><|char|>")[0].split("<|end|><|user|>")[0]


async def test_a_memory_stands_behind_the_history(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    view = await change(ada, chat, memory="  {{user}} fears the dark.\n\nBo is her dog. ")
    assert view["memory"] == "{{user}} fears the dark.\n\nBo is her dog."
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "Hi")
        assert prompt(server).endswith(
            "<|user|>Ada\nHi<|end|><|system|>What Mira remembers:\nAda fears the dark.\n"
            "Bo is her dog.<|end|><|char|>Mira\n"
        )
        await change(ada, chat, memory=None)
        await ada.say(socket, chat, "Hi")
        assert "remembers" not in prompt(server)


async def test_a_pinned_message_outlasts_the_cut(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "My name is a secret.")
        first = (await ada.turns(chat))[1]["candidates"][0]["id"]
        assert (await pin(ada, first))["pins"] == [first]
        assert (await pin(ada, first))["pins"] == [first]
        await talk(ada, socket, chat, 30)
        prompts = [prompt(server, n) for n in range(31)]
        assert all("My name is a secret." in one for one in prompts)
        # While it can be read in the history it stands there alone, and nothing moves for it.
        assert "To be kept in mind" not in prompts[1]
        assert said_before(prompts[-1]).endswith("To be kept in mind:\nAda: My name is a secret.")
        assert (await ada.http.delete(f"/messages/{first}/pin")).json()["pins"] == []
        await ada.say(socket, chat, "last")
        assert "secret" not in prompt(server)


async def test_a_pin_from_before_the_cut_is_read_again_after_a_restart(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "My name is a secret.")
        await talk(ada, socket, chat, 30)
        assert "secret" not in prompt(server)
        first = (await ada.turns(chat, before=2))[-1]["candidates"][0]["id"]
        await pin(ada, first)
        await ada.say(socket, chat, "again")
    assert "secret" in said_before(prompt(server))
    warm = prompt(server)
    models = ScriptedModels(model=server.models.model)
    async with fresh_server(server.settings, server.rows, models) as second:
        second.service.chats.warm.page = 40
        again = second.user("Ada", ada.user_id)
        async with await again.socket() as socket:
            last = (await again.turns(chat))[-1]
            await socket.send("regenerate", id="1", message=last["candidates"][0]["id"])
            await socket.until("done")
        assert prompt(second) == warm


async def test_a_pin_shows_on_the_branches_that_show_its_message(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "My name is a secret.")
        turn = (await ada.turns(chat))[1]["candidates"][0]["id"]
        await pin(ada, turn)
        answer = await ada.http.post(
            f"/messages/{turn}/edit", json={"branch": 0, "text": "I have no name."}
        )
        branch = answer.json()["branch"]
        assert branch != 0
        server.service.chats.warm.drop_all()
        await ada.say(socket, chat, "Hi", branch)
        assert "secret" not in prompt(server)
        await ada.say(socket, chat, "Hi", 0)
        assert "secret" in prompt(server)


async def test_an_erased_message_is_pinned_no_more(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "My name is a secret.")
        first, second = (turn["candidates"][0]["id"] for turn in (await ada.turns(chat))[:2])
        await pin(ada, first)
        await pin(ada, second)
        assert (await ada.http.delete(f"/chats/{chat}/turns/0/1")).status_code == 204
        assert (await ada.http.get(f"/chats/{chat}")).json()["pins"] == [first]
        await ada.say(socket, chat, "Hi")
    assert "secret" not in prompt(server)


async def test_pins_are_bounded_and_ones_own(server: ChatServer) -> None:
    ada, bo = server.user("Ada"), server.user("Bo")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        for _ in range(2):
            await ada.say(socket, chat, "x" * 350)
        for _ in range(19):
            await ada.say(socket, chat, "Hm")
    turns = await ada.turns(chat, limit=100)
    mine = [turn["candidates"][0]["id"] for turn in turns if turn["seq"] % 2]
    for message in mine[2:]:
        await pin(ada, message)
    await pin(ada, mine[0])
    refused = await ada.http.post(f"/messages/{mine[1]}/pin")
    assert refused.status_code == 409
    assert "20 pins" in refused.json()["error"]["message"]
    for who, message in ((bo, mine[1]), (ada, mine[1][:-1] + "7"), (ada, mine[1] + ".1")):
        assert (await who.http.post(f"/messages/{message}/pin")).status_code == 404
        assert (await who.http.delete(f"/messages/{message}/pin")).status_code in (200, 404)
    assert len((await ada.http.get(f"/chats/{chat}")).json()["pins"]) == 20


async def test_what_is_pinned_is_bounded_in_all(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        for _ in range(2):
            await ada.say(socket, chat, "x" * 2100)
    turns = await ada.turns(chat)
    await pin(ada, turns[1]["candidates"][0]["id"])
    refused = await ada.http.post(f"/messages/{turns[3]['candidates'][0]['id']}/pin")
    assert refused.status_code == 409
    assert "4000 characters" in refused.json()["error"]["message"]


async def test_a_memory_is_bounded(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    answer = await ada.http.patch(f"/chats/{chat}", json={"memory": "x" * 4001})
    assert answer.status_code == 400


async def test_what_is_said_calls_up_what_is_known(server: ChatServer) -> None:
    server.rows.character("vera", lorebook=BOOK)
    ada = server.user("Ada")
    chat = (await ada.new_chat("vera"))["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "Hi")
        assert "What is known here" not in prompt(server)
        await ada.say(socket, chat, "Is the LAMP lit?")
        assert prompt(server).endswith(
            "<|system|>What is known here:\nVera's lamp burns oil for Ada.<|end|><|char|>Vera\n"
        )
        await ada.say(socket, chat, "I see")
        await ada.say(socket, chat, "I see")
        assert "What is known here" not in prompt(server)


async def test_what_is_recalled_does_not_move_the_cut_and_is_not_crowded_out(
    server: ChatServer,
) -> None:
    server.rows.character("vera", lorebook=BOOK)
    ada = server.user("Ada")
    chat = (await ada.new_chat("vera"))["id"]
    await change(ada, chat, memory="Ada keeps bees.")
    async with await ada.socket() as socket:
        for number in range(40):
            await ada.say(socket, chat, f"{'lamp' if number % 3 == 0 else 'light'} {number} " * 4)
    prompts = [prompt(server, n) for n in range(40)]
    assert all("Ada keeps bees." in one for one in prompts)
    assert all("burns oil" in one for one in prompts[::3])
    assert all(len(r.token_ids or ()) <= 1600 - 256 for r in server.models.requests)
    starts = [one.split("<|end|>")[1] for one in prompts]
    assert 1 <= sum(a != b for a, b in pairwise(starts)) <= 6


async def test_a_group_knows_what_each_of_it_knows(server: ChatServer) -> None:
    server.rows.character("vera", lorebook=BOOK)
    ada = server.user("Ada")
    chat = (await ada.new_chat("vera"))["id"]
    bo = await joined(server, chat, "bo")
    async with await ada.socket() as socket:
        await socket.send(
            "send", id="1", chat=chat, branch=0, client_id="c", text="The lamp?", speak=bo
        )
        await socket.until("done")
    assert "What is known here:\nBo's lamp burns oil for Ada.<|end|><|char|>Bo\n" in prompt(server)


async def test_a_character_asked_over_the_openai_api_knows_its_lore(server: ChatServer) -> None:
    server.rows.character("vera", lorebook=BOOK)
    server.rows.api_key("key", server.rows.owner)
    async with AsyncOpenAI(
        base_url=f"http://127.0.0.1:{server.port}/v1", api_key="key", max_retries=0
    ) as client:
        await client.chat.completions.create(
            model="character/vera", messages=[{"role": "user", "content": "The lamp?"}]
        )
    assert "Vera's lamp burns oil" in prompt(server)
