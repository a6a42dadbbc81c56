"""A model's server of OpenAI's kind, in a thread of the test, that writes as slowly as told.

What it says is a function of the conversation, so that a test knows the text to expect; with the
gate shut it writes the first words and waits.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = "narrator"
FIRST_WORDS = 6  # that are written though the gate is shut
PACE_S = 0.01
HOLD_LIMIT_S = 60.0
REST = " ".join(
    f"Step {number} of the stair creaks, and *something* above answers." for number in range(1, 5)
)


def answer_to(said: str, attempt: int) -> str:
    """What the model answers."""
    return f"Answer {attempt} to “{said}”: the lamp is **lit**, and the door stands open. {REST}"


class Upstream:
    """The server; `url` is the base URL. Entering starts it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._asked: dict[str, int] = {}
        self.prompt = ""  # what it was asked last, all messages as one text
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_level="critical",
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self._server.should_exit = True
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))

    @contextmanager
    def held(self) -> Any:
        """Answers stop after their first words until the end of the block."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def release(self) -> None:
        """Let held answers go on."""
        self._open.set()

    async def _models(self, _: Request) -> Response:
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "tests"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _complete(self, request: Request) -> Response:
        messages = (await request.json())["messages"]
        self.prompt = "\n".join(message["content"] for message in messages)
        return StreamingResponse(self._stream(messages), media_type="text/event-stream")

    def _words(self, messages: list[dict[str, str]]) -> list[str]:
        said = next(m["content"] for m in reversed(messages) if m["role"] == "user")
        if messages[-1]["role"] == "assistant":
            text = " And so it goes on."
        else:
            self._asked[said] = self._asked.get(said, 0) + 1
            text = answer_to(said, self._asked[said])
        return re.findall(r"\S+\s*|\s+", text)

    async def _stream(self, messages: list[dict[str, str]]) -> AsyncIterator[str]:
        words = self._words(messages)
        for number, word in enumerate(words):
            if number == FIRST_WORDS:
                await asyncio.to_thread(self._open.wait, HOLD_LIMIT_S)
            await asyncio.sleep(PACE_S)
            yield _event({"content": word}, None)
        yield _event({}, "stop")
        yield "data: [DONE]\n\n"


def _event(delta: dict[str, str], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
    return f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n"
