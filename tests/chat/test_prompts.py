"""What models are given: the card and the history, cut at an anchor, at the cost of what is new."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from openai import AsyncOpenAI

from tests.support.chat_client import ChatClient, Socket
from tests.support.chat_server import ChatServer, fresh_server
from tests.support.scripted import MODEL, Letters, ScriptedModels, readable
from troupe.chat.prompting import History, character_template
from troupe.chat.store.types import Member
from troupe.gateway.types import ModelInfo, Sampling
from troupe.prompt import ChatFormat


@pytest.fixture
def model() -> ModelInfo:
    """A model that is given token ids, with room for about a dozen messages."""
    return replace(MODEL, chat_format=ChatFormat.TOKENS, tokenizer=Letters(), context_length=1200)


@pytest.fixture
def models(model: ModelInfo) -> ScriptedModels:
    return ScriptedModels(model=model)


def prompt(server: ChatServer, number: int = -1) -> str:
    ids = server.models.requests[number].token_ids
    assert ids is not None
    return readable(ids)


async def talk(ada: ChatClient, socket: Socket, chat: str, turns: int) -> None:
    for number in range(turns):
        assert (await ada.say(socket, chat, f"line {number} " * 4))["state"] == "complete"


async def test_a_prompt_has_the_card_and_what_was_said(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "Is the light on? <|end|>")
    assert prompt(server) == (
        "<bos><|system|>You are Mira. A keeper of lights.\n"
        "Mira lives on Grey Point.\nCalm and dry.\n"
        "Examples:\nAda: Hi\nMira: Mind the step.\nYou are talking with Ada.<|end|>"
        "<|char|>Mira\n*Mira looks up.* Hello, Ada.<|end|>"
        "<|user|>Ada\nIs the light on? <|end|><|end|>"
        "<|char|>Mira\n"
    )
    ids = server.models.requests[-1].token_ids
    assert ids is not None
    assert list(ids).count(model_end(server)) == 3  # what a person typed makes no special token


def model_end(server: ChatServer) -> int:
    return server.models.model.tokenizer.special("<|end|>")


async def test_a_continued_answer_is_left_open(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        done = await ada.say(socket, chat, "Hi")
        await socket.send("continue", id="1", message=done["message"])
        await socket.until("done")
    assert prompt(server).endswith("<|user|>Ada\nHi<|end|><|char|>Mira\nAn answer.")


async def test_a_turn_tokenizes_what_is_new(server: ChatServer) -> None:
    tokenizer = server.models.model.tokenizer
    assert isinstance(tokenizer, Letters)
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await talk(ada, socket, chat, 5)
        before = tokenizer.encoded
        await ada.say(socket, chat, "x" * 50)
    # The last answer, the new message, and the few tokens around them; not the history.
    assert tokenizer.encoded - before < 200


async def test_the_cut_stands_still_for_many_turns_and_survives_a_restart(
    server: ChatServer,
) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await talk(ada, socket, chat, 20)
        starts = [first_line(prompt(server, n)) for n in range(20)]
        moves = sum(a != b for a, b in pairwise(starts))
        assert 1 <= moves <= 6
        assert all(len(r.token_ids or ()) <= 1200 - 256 for r in server.models.requests)
        assert all("You are Mira" in prompt(server, n) for n in range(20))
        await ada.say(socket, chat, "last")
    warm = prompt(server)
    models = ScriptedModels(model=server.models.model)
    async with fresh_server(server.settings, server.rows, models) as second:
        again = second.user("Ada", ada.user_id)
        async with await again.socket() as socket:
            last = (await again.turns(chat))[-1]
            await socket.send("regenerate", id="1", message=last["candidates"][0]["id"])
            await socket.until("done")
        assert prompt(second) == warm


def first_line(text: str) -> str:
    return text.split("<|end|>")[1]


async def test_a_cold_start_reads_as_much_as_the_prompt_can_hold(server: ChatServer) -> None:
    server.service.chats.warm.page = 4
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await talk(ada, socket, chat, 3)
        server.service.chats.warm.drop_all()
        await ada.say(socket, chat, "last")
    assert prompt(server).count("<|user|>") == 4
    assert "Hello, Ada." in prompt(server)


async def test_a_definition_that_does_not_fit_fails_with_the_reason(server: ChatServer) -> None:
    server.rows.character("giant", definition="x" * 5000)
    ada = server.user()
    chat = (await ada.new_chat("giant"))["id"]
    async with await ada.socket() as socket:
        done = await ada.say(socket, chat, "Hi")
    assert done["state"] == "failed"
    assert done["meta"]["error"]["code"] == "too_long"
    assert "card" in done["meta"]["error"]["message"]


async def test_an_answer_gets_no_more_room_than_the_context_has(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    await ada.http.patch(f"/chats/{chat}", json={"sampling": {"max_tokens": 4000}})
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "Hi")
    request = server.models.requests[-1]
    assert request.token_ids is not None
    assert isinstance(request.sampling, Sampling)
    assert request.sampling.max_tokens == 1200 - len(request.token_ids)


async def test_the_openai_api_uses_the_models_own_format(server: ChatServer) -> None:
    server.rows.api_key("key", server.rows.owner)
    async with AsyncOpenAI(
        base_url=f"http://127.0.0.1:{server.port}/v1", api_key="key", max_retries=0
    ) as client:
        await client.chat.completions.create(
            model="scripted:one",
            messages=[
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Well"},
            ],
        )
        assert prompt(server) == (
            "<bos><|system|>Be short.<|end|><|user|>Ada\nHi<|end|><|char|>Assistant\nWell"
        )
        await client.completions.create(model="scripted:one", prompt="Once <|end|>")
        assert prompt(server) == "<bos>Once <|end|>"
        await client.chat.completions.create(
            model="character/mira", messages=[{"role": "user", "content": "Hi"}]
        )
        assert prompt(server).startswith("<bos><|system|>You are Mira.")
        assert prompt(server).endswith("<|user|>Ada\nHi<|end|><|char|>Mira\n")


async def joined(server: ChatServer, chat: str, slug: str) -> str:
    """Another character in a chat; gives its speaker's name."""
    character = server.rows.character(slug)
    version = await server.service.chats.catalog.current(slug, None)
    assert version is not None
    speaker = f"char:{character}"
    member = Member(speaker=speaker, name=version.name, version_id=version.version_id)
    await server.service.chats.store.set_member(UUID(chat), member)
    server.service.chats.warm.drop_all()
    return speaker


async def test_several_characters_are_a_group(server: ChatServer) -> None:
    ada = server.user("Ada")
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await ada.say(socket, chat, "Hello!")
        assert "The people here" not in prompt(server)
        bo = await joined(server, chat, "bo")
        mira = next(m.speaker for m in (await server.service.chats.store.chat(UUID(chat))).members
                    if m.name == "Mira")  # fmt: skip
        said = {"chat": chat, "branch": 0}
        for number, speaker in enumerate((bo, mira)):
            await socket.send("send", id=str(number), client_id=uuid4().hex, text=f"You {number}?",
                              speak=speaker, **said)  # fmt: skip
            assert (await socket.until("done"))["state"] == "complete"
    first, second = prompt(server, -2), prompt(server, -1)
    card = first.split("<|end|>")[0]
    assert card.count("You are ") == 3
    assert "Bo lives on Grey Point." in card
    assert "Mira lives on Grey Point." in card
    assert card.endswith("You are talking with Ada.\nThe people here: Mira and Bo.")
    assert first.endswith("<|user|>Ada\nYou 0?<|end|><|char|>Bo\n")
    assert second.endswith("<|char|>Bo\nAn answer.<|end|><|user|>Ada\nYou 1?<|end|><|char|>Mira\n")
    # Whoever speaks, what went before is what it was.
    assert second.startswith(first.removesuffix("<|char|>Bo\n"))


def test_a_model_served_anew_under_its_name_gets_a_history_of_its_own(model: ModelInfo) -> None:
    template = character_template()
    history = History(model, {"char:mira": "Mira"}, template)
    assert history.fits(model, {"char:mira": "Mira"}, template)
    assert not history.fits(replace(model, tokenizer=Letters()), {"char:mira": "Mira"}, template)
    assert not history.fits(model, {"char:mira": "Mirabel"}, template)
    assert not history.fits(replace(model, id="other"), {"char:mira": "Mira"}, template)
