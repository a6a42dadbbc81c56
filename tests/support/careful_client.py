"""A client of the chat protocol, as careful as the web app: it resends and resumes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import uuid
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

Frame = dict[str, Any]
LOST = (OSError, WebSocketException, httpx.HTTPError, asyncio.TimeoutError, json.JSONDecodeError)
TOKEN = "/api/v1/chat-token"


class Refused(Exception):
    """The server answered `error`."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.code = frame.get("code")


@dataclass
class Answer:
    """An answer as the client saw it."""

    message: str
    epoch: str | None = None
    seq: int = 0
    text: str = ""
    state: str = "streaming"
    frames: list[Frame] = field(default_factory=list)


class CarefulClient:
    """One guest with one socket. Calls wait out a server that is away for `patience` seconds."""

    def __init__(self, url: str, patience: float = 60) -> None:
        self.url = url
        self.patience = patience
        self.http = httpx.AsyncClient(base_url=url, timeout=20)
        self.socket: ClientConnection | None = None
        self._token = ""
        self._ids = itertools.count(1)

    async def __aenter__(self) -> CarefulClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.drop()
        await self.http.aclose()

    async def sign_in_as_guest(self) -> None:
        """Become a guest and get a chat token."""
        session = (await self._request("GET", "/api/v1/session")).json()
        self.http.headers["X-CSRFToken"] = session["csrf"]
        fresh = (await self._request("POST", "/api/v1/session/guest")).json()
        self.http.headers["X-CSRFToken"] = fresh.get("csrf", session["csrf"])
        await self._renew()

    async def _renew(self) -> None:
        """Get a chat token; one lasts some minutes."""
        self._token = (await self._request("POST", TOKEN)).json()["token"]
        self.http.headers["Authorization"] = f"Bearer {self._token}"

    async def create_chat(self, character: str) -> Frame:
        answer = await self._request("POST", "/chat/v1/chats", json={"character": character})
        created: Frame = answer.json()
        return created

    async def turns(self, chat: str, branch: int | None = None) -> list[Frame]:
        """Every turn of a chat, oldest first."""
        query: dict[str, int] = {"limit": 200} | ({} if branch is None else {"branch": branch})
        found: list[Frame] = []
        while True:
            page = (await self._request("GET", f"/chat/v1/chats/{chat}/turns", params=query)).json()
            found[:0] = page["turns"]
            if not page["more"]:
                return found
            query["before"] = page["turns"][0]["seq"]

    async def message(self, message: str) -> Frame:
        found: Frame = (await self._request("GET", f"/chat/v1/messages/{message}")).json()
        return found

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """An HTTP request, repeated while the server is away. Only for what may be repeated."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.http.request(method, path, **more)
                if answer.status_code == 401 and path != TOKEN:
                    await self._renew()
                elif answer.status_code < 500 and answer.status_code != 429:
                    answer.raise_for_status()
                    return answer
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{method} {path}: the server stayed away")
            await asyncio.sleep(0.1)

    async def open(self) -> ClientConnection:
        """The socket, connected and greeted."""
        if self.socket is None:
            address = self.url.replace("http", "ws", 1) + "/chat/v1/socket"
            socket = await connect(address, compression=None, open_timeout=10)
            await socket.send(json.dumps({"type": "hello", "v": 1, "token": self._token}))
            ready = json.loads(await asyncio.wait_for(socket.recv(), 10))
            if ready.get("code") == "expired":
                await self._renew()
                return await self.open()
            if ready["type"] != "ready":
                raise Refused(ready)
            self.socket = socket
        return self.socket

    async def drop(self) -> None:
        """Lose the socket, without goodbye."""
        if self.socket is not None:
            socket, self.socket = self.socket, None
            socket.transport.abort()

    async def send_frame(self, frame: Frame) -> None:
        socket = await self.open()
        await socket.send(json.dumps(frame))

    async def receive(self, limit: float = 30) -> Frame:
        socket = await self.open()
        frame: Frame = json.loads(await asyncio.wait_for(socket.recv(), limit))
        return frame

    async def say(self, chat: str, branch: int, text: str) -> tuple[str, Answer]:
        """Send a message and read its answer to the end, whatever happens to the socket. Gives
        the id of the person's message and the answer."""
        client_id = str(uuid.uuid4())
        accepted = await self._persist(lambda: self._send(chat, branch, client_id, text))
        mine, theirs = accepted["messages"]
        answer = Answer(theirs["id"])
        return mine["id"], await self.follow(answer)

    async def _send(self, chat: str, branch: int, client_id: str, text: str) -> Frame:
        request = str(next(self._ids))
        await self.send_frame({
            "type": "send", "id": request, "chat": chat, "branch": branch,
            "client_id": client_id, "text": text,
        })  # fmt: skip
        while True:
            frame = await self.receive()
            if frame.get("id") == request and frame["type"] == "accepted":
                return frame
            if frame.get("id") == request and frame["type"] == "error":
                raise Refused(frame)

    async def follow(self, answer: Answer) -> Answer:
        """Read an answer to its end, resuming as often as needed."""
        attached = True  # the socket that sent is attached
        deadline = asyncio.get_running_loop().time() + self.patience * 2
        while answer.state == "streaming":
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{answer.message} never ended; last: {answer.frames[-3:]}")
            try:
                if not attached:
                    await self.resume(answer)
                    attached = True
                frame = await self.receive(5)
                if frame.get("code") == "expired":
                    await self._renew()
                    raise ConnectionResetError("a new token needs a new socket")
                self.take(answer, frame)
            except LOST:
                attached = False
                await self.drop()
                await asyncio.sleep(0.1)
            if answer.frames and answer.frames[-1]["type"] == "gone":
                answer.frames.append({"type": "read"})
                await self._read(answer)
                attached = False
        return answer

    async def resume(self, answer: Answer) -> None:
        frame: Frame = {"type": "resume", "message": answer.message}
        if answer.epoch is not None:
            frame |= {"epoch": answer.epoch, "seq": answer.seq}
        await self.send_frame(frame)

    @staticmethod
    def take(answer: Answer, frame: Frame) -> None:
        """Apply a frame to an answer, by the protocol's rules."""
        if frame.get("message") != answer.message:
            return
        answer.frames.append(frame)
        if frame["type"] == "start":
            answer.epoch, answer.text = frame["epoch"], frame["text"]
        elif frame["type"] == "delta":
            answer.seq, answer.text = frame["seq"], answer.text + frame["text"]
        elif frame["type"] == "done":
            answer.state, answer.text = frame["state"], frame["body"]

    async def _read(self, answer: Answer) -> None:
        stored = await self.message(answer.message)
        if stored["state"] == "streaming":
            await asyncio.sleep(0.2)
        else:
            answer.state, answer.text = stored["state"], stored["body"]

    async def _persist(self, attempt: Any) -> Frame:
        """Try until it is accepted: what is sent carries a client id, so twice is once."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            try:
                frame: Frame = await attempt()
                return frame
            except LOST:
                await self.drop()
            except Refused as error:
                if error.code == "expired":
                    await self._renew()
                    await self.drop()
                elif error.code not in ("internal", "overloaded", "busy", "model_unavailable"):
                    raise
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError("the message was never accepted")
            await asyncio.sleep(0.1)
