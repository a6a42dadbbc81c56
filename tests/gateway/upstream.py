"""A small server that speaks OpenAI's API, and misbehaves as a test asks it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.serving import serving
from troupe.gateway.types import GenerationRequest, Sampling

Answer = Callable[["Upstream"], Response]


@dataclass
class Upstream:
    """What the server does with each request in turn; the last answer is given for ever."""

    answers: list[Answer] = field(default_factory=list)
    models: Any = None
    requests: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    listed: int = 0
    url: str = ""
    port: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _models(self, _: Request) -> Response:
        self.listed += 1
        if isinstance(self.models, Response):
            return self.models
        data = self.models if self.models is not None else [{"id": "parrot", "object": "model"}]
        return JSONResponse({"object": "list", "data": data})

    async def _chat(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.json()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(self)


@asynccontextmanager
async def upstream(*answers: Answer, models: Any = None) -> AsyncIterator[Upstream]:
    server = Upstream(list(answers), models)
    async with serving(server.app()) as port:
        server.port, server.url = port, f"http://127.0.0.1:{port}/v1"
        yield server


def chunk(text: str | None = None, reason: str | None = None, **more: Any) -> str:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice], **more})}\n\n"


USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 8},
}
GOOD = [
    chunk("Hel"),
    chunk("lo"),
    chunk(None, "stop"),
    f"data: {json.dumps({'choices': [], 'usage': USAGE})}\n\n",
    "data: [DONE]\n\n",
]


def events(*pieces: str | bytes | float, cut: bool = False) -> Answer:
    """Sends pieces; a number is a pause in seconds; `cut` breaks the connection at the end."""

    def answer(server: Upstream) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                for piece in pieces:
                    if isinstance(piece, float):
                        await asyncio.sleep(piece)
                    else:
                        yield piece.encode() if isinstance(piece, str) else piece
            except asyncio.CancelledError:
                server.gone.set()
                raise
            if cut:
                raise ConnectionError("the test cuts here")

        return StreamingResponse(body(), media_type="text/event-stream")

    return answer


def status(code: int, body: Any = None, **headers: str) -> Answer:
    """Refuses."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: JSONResponse(body or {"error": {"message": "no"}}, code, headers=named)


def raw(text: str, content_type: str) -> Answer:
    return lambda _: Response(text, media_type=content_type)


def ask(model: str, **more: Any) -> GenerationRequest:
    given: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Say hello"}],
        "sampling": Sampling(max_tokens=16),
        "conversation": "chat-1",
        **more,
    }
    return GenerationRequest(model=model, **given)
