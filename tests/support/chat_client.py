"""A client of the chat protocol, over HTTP and a socket, as the web app is one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

Frame = dict[str, Any]


@dataclass
class Told:
    """What a client knows of a message from its frames."""

    epoch: str = ""
    seq: int | None = None
    text: str = ""
    done: Frame | None = None
    deltas: int = 0


def follow(told: dict[str, Told], frame: Frame) -> None:
    """Apply a frame as docs/protocol.md tells clients to."""
    if frame["type"] not in ("start", "delta", "done"):
        return
    message = told.setdefault(frame["message"], Told())
    if frame["type"] == "start":
        if message.epoch != frame["epoch"]:
            message.seq = None
        message.epoch, message.text, message.done = frame["epoch"], frame["text"], None
    elif frame["type"] == "delta":
        assert frame["epoch"] == message.epoch
        message.text += frame["text"]
        message.seq = frame["seq"]
        message.deltas += 1
    else:
        message.done = frame


class Socket:
    """A socket that said hello."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.told: dict[str, Told] = {}

    async def send(self, type_: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": type_, **fields}))

    async def receive(self, timeout: float = 10) -> Frame:
        async with asyncio.timeout(timeout):
            frame: Frame = json.loads(await self.connection.recv())
        follow(self.told, frame)
        return frame

    async def until(self, type_: str, timeout: float = 10) -> Frame:
        """The next frame of this type; what comes before is applied."""
        while True:
            frame = await self.receive(timeout)
            if frame["type"] == type_:
                return frame
            if frame["type"] == "error":
                raise AssertionError(frame)

    async def close(self) -> None:
        await self.connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass
class ChatClient:
    """One person."""

    port: int
    user_id: UUID
    token: str
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}/chat/v1",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )

    async def raw_socket(self) -> ClientConnection:
        return await websockets.connect(
            f"ws://127.0.0.1:{self.port}/chat/v1/socket", compression=None, max_size=2**24
        )

    async def socket(self) -> Socket:
        socket = Socket(await self.raw_socket())
        await socket.send("hello", v=1, token=self.token)
        assert (await socket.receive())["type"] == "ready"
        return socket

    async def new_chat(self, character: str = "mira") -> Frame:
        answer = await self.http.post("/chats", json={"character": character})
        assert answer.status_code == 201, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def turns(self, chat: str, **query: Any) -> list[Frame]:
        answer = await self.http.get(f"/chats/{chat}/turns", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["turns"]  # type: ignore[no-any-return]

    async def say(self, socket: Socket, chat: str, text: str, branch: int = 0) -> Frame:
        """Send over the socket and wait for the answer's end; gives its `done`."""
        await socket.send(
            "send", id="1", chat=chat, branch=branch, client_id=uuid4().hex, text=text
        )
        await socket.until("accepted")
        return await socket.until("done")

    async def close(self) -> None:
        await self.http.aclose()
