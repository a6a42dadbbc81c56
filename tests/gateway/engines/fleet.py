"""Several real engines in this process, each behind a door that a test can shut in many ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.serving import serving
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.types import EngineOptions
from troupe.gateway.engines import EnginesProvider, Member
from troupe.gateway.engines.watch import Pace
from troupe.gateway.providers import TroupeProvider
from troupe.gateway.rendezvous import Bound
from troupe.gateway.types import Delta, Finish, GenerationRequest, Sampling

QUICK = Pace(members=0.02, fit=0.1, unfit=0.05, answer=1.0, misses=2)


@dataclass
class Door:
    """Passes requests on to an engine, until the test has it do otherwise."""

    app: ASGIApp
    url: str = ""
    dead: bool = False  # every connection breaks
    hangs: bool = False  # nothing is answered any more, and nothing is closed
    full: bool = False  # answers 429
    # An answer's connection breaks after so many bytes of events; then the engine is `dead`, unless
    # it `returns`.
    breaks_at: int | None = None
    breaks_before: bytes | None = None  # or once these bytes were about to go out
    returns: bool = False
    asked: list[str] = field(default_factory=list)  # paths of answers
    sent: bytearray = field(default_factory=bytearray)  # of the last answer
    kept: bytes = b""  # of the last one that broke, what went out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        await self._pass_or_fail()
        if "completions" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        self.asked.append(scope["path"])
        if self.full:
            headers = [(b"retry-after", b"0")]
            await send({"type": "http.response.start", "status": 429, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        self.sent.clear()

        async def send_until(message: Message) -> None:
            await self._pass_or_fail()
            body = message.get("body", b"")
            self.sent += body
            cut = self.breaks_at
            if cut is None and self.breaks_before and self.breaks_before in self.sent:
                cut = self.sent.index(self.breaks_before)
            if cut is None or len(self.sent) <= cut:
                await send(message)
                return
            self.breaks_at = self.breaks_before = None
            self.dead = not self.returns
            self.kept = bytes(self.sent[:cut])
            keep = len(body) - (len(self.sent) - cut)
            if keep > 0:
                await send({**message, "body": body[:keep], "more_body": True})
            raise ConnectionError("the test cuts here")

        await self.app(scope, receive, send_until)

    async def _pass_or_fail(self) -> None:
        if self.dead:
            raise ConnectionError("the test killed this engine")
        while self.hangs:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@dataclass
class Fleet:
    """The engines and one provider over them."""

    doors: list[Door]
    provider: EnginesProvider

    def home(self, conversation: str) -> Door:
        """Whose conversation it is."""
        from troupe.gateway.rendezvous import Node, ranked

        nodes = [Node(door.url) for door in self.doors]
        first = ranked(conversation, nodes)[0].name
        return next(door for door in self.doors if door.url == first)


@asynccontextmanager
async def fleet(folders: list[Path], **options: Any) -> AsyncIterator[Fleet]:
    """An engine for each folder; `options` are the provider's, or `max_waiting` of the engines."""
    waiting = options.pop("max_waiting", 64)
    async with AsyncExitStack() as stack:
        doors = []
        for folder in folders:
            engine = EngineOptions(kv_bytes=2 * 2**20, max_sequences=4, max_waiting=waiting)
            app = create_app(EngineServerOptions(folder, served_name="tiny", engine=engine))
            door = Door(app)
            port = await stack.enter_async_context(serving(door))
            door.url = f"http://127.0.0.1:{port}"
            await app.state.engine.loaded()
            doors.append(door)
        provider = make(doors, **options)
        stack.push_async_callback(provider.close)
        yield Fleet(doors, provider)


def make(doors: list[Door], **options: Any) -> EnginesProvider:
    options.setdefault("pace", QUICK)
    options.setdefault("bound", Bound(factor=1e9))
    options.setdefault("members", [Member(door.url) for door in doors])
    return EnginesProvider("troupe", lambda m: TroupeProvider(m.url, name=m.name), **options)


@dataclass
class Answer:
    text: str
    ids: list[int]
    finish: Finish


def ask(conversation: str = "chat", tokens: int = 40, **more: Any) -> GenerationRequest:
    sampling = {"temperature": 1.0, "seed": 5, "max_tokens": tokens, **more.pop("sampling", {})}
    given: dict[str, Any] = {"token_ids": list(range(20, 60)), **more}
    return GenerationRequest("tiny", conversation, Sampling(**sampling), **given)


async def answer(provider: EnginesProvider, request: GenerationRequest) -> Answer:
    """The whole answer, as its reader has it."""
    (model,) = await provider.models()
    text, ids = "", []
    async with aclosing(provider.stream(request, model)) as events:
        async for event in events:
            if isinstance(event, Delta):
                text += event.text
                ids += event.token_ids
            else:
                return Answer(text, ids, event)
    raise AssertionError("no end")
