"""Prompts as deltas, end to end: chat's prompts, the gateway's provider, a real engine."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.engine.conftest import write_checkpoint
from tests.gateway.test_engine import TEMPLATE, answer, ready
from tests.support.serving import serving
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.types import EngineOptions
from troupe.gateway import Gateway
from troupe.gateway.providers import TroupeProvider
from troupe.gateway.providers.delta import Left, Place, packed, place_in, prompt_fields
from troupe.gateway.types import Finish, GenerationRequest, ModelInfo, Sampling
from troupe.prompt import ChatMessage, Conversation, TokenSequence, hashes
from troupe.prompt.hashes import Stream


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("delta") / "tiny", max_position_embeddings=8192)


@dataclass
class Wire:
    """Bodies that completions were asked with, and the status of each answer."""

    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def around(self, app: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != "/v1/completions":
                await app(scope, receive, send)
                return
            self.bodies.append(b"")

            async def counting_receive() -> Message:
                message = await receive()
                self.bodies[-1] += message.get("body", b"")
                return message

            async def counting_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.statuses.append(message["status"])
                await send(message)

            await app(scope, counting_receive, counting_send)

        return counted


@asynccontextmanager
async def engine(
    folder: Path, wire: Wire, port: int = 0, kv_bytes: int = 32 * 2**20
) -> AsyncIterator[int]:
    app = create_app(EngineServerOptions(folder, engine=EngineOptions(kv_bytes=kv_bytes)))
    async with serving(wire.around(app), port) as port:
        yield port


class Talk:
    """A conversation through the gateway, turn by turn."""

    def __init__(self, gateway: Gateway, model: ModelInfo, name: str = "chat-1") -> None:
        self.conversation = Conversation(TEMPLATE, model.tokenizer, model.chat_format)
        self.gateway, self.model, self.name = gateway, model, name
        self.rng = random.Random(name)
        self.said = 0

    def say(self) -> None:
        words = " ".join(self.rng.choices(["you", "the", "row", "sea", "and", "boat"], k=12))
        self.said += 1
        self.conversation.append(ChatMessage(f"u{self.said}", "user", "Ada", words))

    async def ask(self, keep: bool = True) -> tuple[Finish, int, list[int]]:
        """The end of an answer, the bytes of the history as JSON, and the prompt."""
        prompt = self.conversation.compile({}, 8000)
        assert prompt.sequence is not None
        sampling = Sampling(temperature=0.0, max_tokens=12)
        request = GenerationRequest(self.model.id, self.name, sampling, prompt.sequence)
        text, finish = await answer(self.gateway, request)
        ids = list(prompt.sequence)
        assert finish.usage.prompt_tokens == len(ids)
        if keep:
            self.conversation.append(ChatMessage(f"c{self.said}", "char", "Bo", text))
        return finish, len(json.dumps(ids, separators=(",", ":"))), ids


async def test_a_turn_sends_what_is_new_and_the_engine_runs_no_more(folder: Path) -> None:
    wire = Wire()
    async with engine(folder, wire) as port:
        gateway = Gateway([TroupeProvider(f"http://127.0.0.1:{port}")])
        await ready(gateway)
        talk = Talk(gateway, await gateway.resolve(None))
        histories = []
        for _ in range(90):
            talk.say()
            finish, history, _ = await talk.ask()
            histories.append(history)
        assert wire.statuses == [200] * 90
        assert finish.usage.cached_tokens > 0.9 * finish.usage.prompt_tokens
        sent = [len(body) for body in wire.bodies]
        assert max(sent[5:]) < 1.5 * min(sent[5:])  # whatever the length of the history
        assert sum(sent[-10:]) <= 0.05 * sum(histories[-10:])  # of about 180 messages
        await gateway.close()


async def test_swipes_and_edits_send_from_where_they_part(folder: Path) -> None:
    wire = Wire()
    async with engine(folder, wire) as port:
        gateway = Gateway([TroupeProvider(f"http://127.0.0.1:{port}")])
        await ready(gateway)
        talk = Talk(gateway, await gateway.resolve(None))
        for _ in range(12):
            talk.say()
            await talk.ask()
        talk.say()
        await talk.ask(keep=False)
        swiped, history, _ = await talk.ask(keep=False)
        assert swiped.usage.cached_tokens == swiped.usage.prompt_tokens - 1
        assert len(wire.bodies[-1]) < 0.2 * history
        talk.conversation.edit("u11", ChatMessage("u11", "user", "Ada", "the boat and you"))
        edited, history, _ = await talk.ask()
        assert edited.usage.cached_tokens > 0.7 * edited.usage.prompt_tokens
        assert len(wire.bodies[-1]) < 0.4 * history
        assert wire.statuses == [200] * 15
        await gateway.close()


async def test_answers_by_delta_are_those_to_the_whole_prompt_whatever_is_said(
    folder: Path,
) -> None:
    """Turns, swipes, edits and removals at random, in two conversations by turns, in a memory too
    small for both: each answer is the one that the same tokens get from a stranger."""
    wire = Wire()
    async with engine(folder, wire, kv_bytes=EngineRoom.of(folder, 9000)) as port:
        gateway = Gateway([TroupeProvider(f"http://127.0.0.1:{port}")])
        await ready(gateway)
        model = await gateway.resolve(None)
        talks = [Talk(gateway, model, name) for name in ("chat-1", "chat-2")]
        rng = random.Random(3)
        for turn in range(40):
            talk = rng.choice(talks)
            messages = [*talk.conversation]
            match rng.choice(["say", "say", "swipe", "edit", "remove"]):
                case "edit" if messages:
                    old = rng.choice(messages)
                    text = f"{old.text} and {turn}"
                    talk.conversation.edit(old.id, ChatMessage(old.id, old.role, old.name, text))
                case "remove" if len(messages) > 2:
                    talk.conversation.remove(rng.choice(messages[1:]).id)
                case "swipe" if messages:
                    pass
                case _:
                    talk.say()
            prompt = talk.conversation.compile({}, 8000).sequence
            assert prompt is not None
            sampling = Sampling(temperature=0.0, max_tokens=12)
            delta = GenerationRequest(model.id, talk.name, sampling, prompt)
            whole = GenerationRequest(model.id, f"stranger-{turn}", sampling, list(prompt))
            text, finish = await answer(gateway, delta)
            expected, _ = await answer(gateway, whole)
            assert text == expected
            assert finish.usage.prompt_tokens == len(prompt)
            if rng.random() < 0.7:
                talk.conversation.append(ChatMessage(f"a{turn}", "char", "Bo", text))
        bodies = [json.loads(body) for body in wire.bodies]
        assert sum("prefix" in body for body in bodies) > 25
        await gateway.close()


async def test_after_a_restart_the_whole_is_sent_once(folder: Path) -> None:
    wire = Wire()
    async with engine(folder, wire) as port:
        gateway = Gateway([TroupeProvider(f"http://127.0.0.1:{port}")])
        await ready(gateway)
        talk = Talk(gateway, await gateway.resolve(None))
        for _ in range(6):
            talk.say()
            before, _, _ = await talk.ask()
    async with engine(folder, wire, port):
        talk.say()
        after, history, _ = await talk.ask()
        loaded = [status for status in wire.statuses[6:] if status != 503]
        assert loaded == [409, 200]
        assert len(wire.bodies[-1]) > 0.5 * history
        assert after.usage.cached_tokens == 0
        assert after.usage.prompt_tokens > before.usage.prompt_tokens
        talk.say()
        again, history, _ = await talk.ask()
        assert wire.statuses[-2:] == [200, 200]
        assert len(wire.bodies[-1]) < 0.3 * history
        assert again.usage.cached_tokens > 0.8 * again.usage.prompt_tokens
        await gateway.close()


async def test_what_was_evicted_is_sent_again_and_no_more(folder: Path) -> None:
    """The engine gives up the ends of conversations first: the last mark that it holds is where
    the second request goes on from."""
    wire = Wire()
    async with engine(folder, wire, kv_bytes=EngineRoom.of(folder, 8600)) as port:
        gateway = Gateway([TroupeProvider(f"http://127.0.0.1:{port}")])
        await ready(gateway)
        model = await gateway.resolve(None)
        talk = Talk(gateway, model)
        for _ in range(30):
            talk.say()
            await talk.ask()
        _, _, ids = await talk.ask(keep=False)
        # Another conversation takes so much room that half of this one has to go.
        rest = 8600 - len(ids) // 2
        other = GenerationRequest(
            model.id, "other", Sampling(max_tokens=8), token_ids=[20 + i % 400 for i in range(rest)]
        )
        await answer(gateway, other)
        sent = len(wire.bodies)
        talk.say()
        finish, history, ids = await talk.ask()
        assert wire.statuses[sent:] == [409, 200]
        second = json.loads(wire.bodies[-1])
        assert 0 < second["prefix"]["length"] < len(ids)
        assert finish.usage.cached_tokens >= second["prefix"]["length"]
        assert len(wire.bodies[-1]) < 0.6 * history
        await gateway.close()


async def test_a_conversation_s_turn_hashes_and_writes_only_what_is_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = 0
    blake2b = hashes.blake2b

    def counting(data: bytes, digest_size: int) -> object:
        nonlocal hashed
        hashed += 1
        return blake2b(data, digest_size=digest_size)

    monkeypatch.setattr(hashes, "blake2b", counting)
    wire = Wire()
    async with engine(folder, wire) as port:
        gateway = Gateway([TroupeProvider(f"http://127.0.0.1:{port}")])
        await ready(gateway)
        talk = Talk(gateway, await gateway.resolve(None))
        counts = []
        grew = [0]
        for _ in range(30):
            talk.say()
            hashed = 0
            _, _, ids = await talk.ask()
            counts.append(hashed)
            grew.append(len(ids))
        for turn in range(2, 30):
            assert counts[turn] <= (grew[turn + 1] - grew[turn - 1]) / 16 + 4
        await gateway.close()


class EngineRoom:
    """Memory for keys and values, in bytes."""

    @staticmethod
    def of(folder: Path, tokens: int) -> int:
        from troupe.engine.backends import choose
        from troupe.engine.config import ModelConfig

        config = ModelConfig.load(folder)
        return tokens * choose("auto", config).token_bytes(config)


def sequence(count: int, behind: int = 0, seed: int = 0) -> TokenSequence:
    rng = random.Random(seed)
    ids = [rng.randrange(500) for _ in range(count)]
    return TokenSequence(Stream(ids[: count - behind]), count - behind, ids[count - behind :])


def test_nothing_is_known_of_a_conversation_that_never_was() -> None:
    assert Left().prefix("a", sequence(100)) is None


def test_the_answer_s_end_is_taken_where_the_next_prompt_runs_through_it() -> None:
    left, tokens = Left(), sequence(100)
    end = Place(96, tokens.hash_to(96))
    left.remember("a", TokenSequence(Stream(tokens[:50]), 50, []), end)
    assert left.prefix("a", tokens) == end
    assert left.prefix("b", tokens) is None
    other = TokenSequence(Stream([*tokens[:60], 501, *tokens[61:]]), 100, [])
    place = left.prefix("a", other)
    assert place is not None
    assert place.length == 48


def test_a_prompt_that_parts_early_is_sent_from_near_there() -> None:
    left, tokens = Left(), sequence(4000)
    left.remember("a", tokens, None)
    for parts in (20, 40, 100, 500, 2000, 3500, 3900, 3999):
        changed = TokenSequence(Stream([*tokens[:parts], 501, *tokens[parts + 1 :]]), 4000, [])
        place = left.prefix("a", changed)
        assert place is not None
        behind = parts - place.length
        assert 0 <= behind <= max(16, min(parts / 2, 4000 - parts)) + 16


def test_the_conversations_used_least_are_forgotten() -> None:
    left, tokens = Left(capacity=2), sequence(40)
    for name in ("a", "b", "a", "c"):
        left.remember(name, tokens, None)
    assert [left.prefix(name, tokens) is None for name in "abc"] == [False, True, False]


def test_marks_lie_at_growing_distances_and_are_few() -> None:
    tokens = sequence(16 * 1000 + 5)
    prefix = Place(16 * 1000, tokens.hash_to(16 * 1000))
    fields = prompt_fields(tokens, prefix)
    lengths = [length for length, _ in fields["prefix"]["marks"]]
    assert lengths == [16 * (1000 - distance) for distance in (4, 16, 64, 256)]
    assert packed(tokens[-5:]).items() <= fields.items()


def test_only_a_place_is_taken_for_one() -> None:
    good = '{"choices":[{"text":"","prefix":{"length":32,"hash":"AAAAAAAAAAAAAAAAAAAAAA"}}]}'
    assert place_in(good) == Place(32, bytes(16))
    for wrong in (
        "[DONE]",
        json.dumps({"choices": [{"text": '"prefix":{"length":32}'}]}),
        '{"choices":[{"prefix":{"length":"x"}}]}',
        '{"choices":[{"prefix":{"length":32,"hash":"A"}}]}',
        '{"prefix":{',
    ):
        assert place_in(wrong) is None
