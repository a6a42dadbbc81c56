"""A reader who loses its socket loses no text; a generation does not notice its readers."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

from tests.support.chat_client import ChatClient, Socket
from tests.support.chat_server import ChatServer
from troupe.gateway.types import GenerationRequest

STREAMS = 100
CUTS = 10  # of each stream
PIECES = 120
ALPHABET = 'abc xyz.\n"\\<é漢字🙂👩‍👩‍👧\u2028\u0001'


def written(seed: str) -> list[str]:
    """The pieces of an answer, from the message that asks for it."""
    rng = random.Random(seed)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(1, 12))) for _ in range(PIECES)]


def script(request: GenerationRequest) -> list[str]:
    assert request.messages is not None
    return written(request.messages[-1]["content"])


async def read_with_cuts(ada: ChatClient, chat: str, seed: str) -> tuple[str, str, int]:
    """Send, then lose the socket `CUTS` times while the answer streams; gives the message id, the
    text that was pieced together, and the cuts."""
    rng = random.Random(f"cuts {seed}")
    socket = await ada.socket()
    told = socket.told
    await socket.send("send", id="1", chat=chat, branch=0, client_id="c", text=seed)
    answer = str((await socket.until("accepted"))["messages"][1]["id"])
    cuts = 0
    while cuts < CUTS:
        await read_for(socket, rng.uniform(0, 0.8))
        socket.connection.transport.abort()
        cuts += 1
        socket = await ada.socket()
        socket.told = told
        known = told.get(answer)
        position = {}
        if known is not None and known.epoch and known.seq is not None and rng.random() < 0.9:
            position = {"epoch": known.epoch, "seq": known.seq}
        await socket.send("resume", message=answer, **position)
    while told.get(answer) is None or told[answer].done is None:
        await socket.receive(60)
    await socket.close()
    done = told[answer].done
    assert done is not None
    assert done["state"] == "complete"
    assert done["body"] == told[answer].text
    return answer, told[answer].text, cuts


async def read_for(socket: Socket, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while True:
                await socket.receive(60)
    except TimeoutError:
        pass


async def test_a_thousand_cuts_over_a_hundred_streams_leave_every_text_exact(
    server: ChatServer,
) -> None:
    server.models.script = script
    server.models.pace = 0.06
    people = [server.user() for _ in range(STREAMS)]
    chats = [(await person.new_chat())["id"] for person in people]
    seeds = [f"stream {number}" for number in range(STREAMS)]
    results = await asyncio.gather(
        *(
            read_with_cuts(person, chat, seed)
            for person, chat, seed in zip(people, chats, seeds, strict=True)
        )
    )
    assert sum(cuts for _, _, cuts in results) == STREAMS * CUTS
    for person, seed, (answer, text, _) in zip(people, seeds, results, strict=True):
        assert text == "".join(written(seed))
        kept = await person.http.get(f"/messages/{answer}")
        assert kept.json()["body"] == text
    assert server.models.aborted == 0


async def test_an_answer_goes_on_when_nobody_reads(server: ChatServer) -> None:
    server.models.pace = 0.02
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    socket = await ada.socket()
    await socket.send("send", id="1", chat=chat, branch=0, client_id="c", text="a b c d")
    answer = (await socket.until("accepted"))["messages"][1]["id"]
    socket.connection.transport.abort()
    async with await ada.socket() as other:
        await other.send("resume", message=answer)
        done = await other.until("done")
    assert done["body"] == "You said: a b c d "


async def test_resuming_from_a_position_gives_one_delta_with_the_rest(server: ChatServer) -> None:
    server.models.gate = asyncio.Event()
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket, await ada.socket() as other:
        await socket.send("send", id="1", chat=chat, branch=0, client_id="c", text="a b c")
        answer = (await socket.until("accepted"))["messages"][1]["id"]
        first = await socket.until("delta")
        server.models.gate.set()
        await socket.until("done")
        await other.send("resume", message=answer, epoch=first["epoch"], seq=first["seq"])
        start, delta, done = [await other.receive() for _ in range(3)]
    assert start["text"] == first["text"] == "You "
    assert delta["text"] == "said: a b c "
    assert done["type"] == "done"


async def test_two_sockets_of_one_person_see_the_same(server: ChatServer) -> None:
    server.models.gate = asyncio.Event()
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as one, await ada.socket() as two:
        await one.send("send", id="1", chat=chat, branch=0, client_id="c", text="a b c")
        answer = (await one.until("accepted"))["messages"][1]["id"]
        await two.send("resume", message=answer)
        await two.until("start")
        server.models.gate.set()
        await one.until("done")
        await two.until("done")
        assert one.told[answer].text == two.told[answer].text == "You said: a b c "


async def test_a_message_that_nobody_writes_is_gone(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as socket:
        await socket.send("resume", message=f"{chat}.0.0.0")
        assert (await socket.receive())["type"] == "gone"
        await socket.send("resume", message=f"{uuid4()}.0.0.0")
        assert (await socket.receive())["code"] == "not_found"


async def test_a_slow_reader_holds_nobody_up_and_misses_nothing(server: ChatServer) -> None:
    server.models.script = lambda request: ["x" * 400] * 400
    server.models.pace = 0.001
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    async with await ada.socket() as slow, await ada.socket() as quick:
        slow.connection.transport.pause_reading()
        await slow.send("send", id="1", chat=chat, branch=0, client_id="c", text="go")
        await server.models.began.wait()
        answer = f"{chat}.0.2.0"
        await quick.send("resume", message=answer)
        await quick.until("done", 60)
        slow.connection.transport.resume_reading()
        await slow.until("done", 60)
        assert slow.told[answer].text == quick.told[answer].text == "x" * 160_000
