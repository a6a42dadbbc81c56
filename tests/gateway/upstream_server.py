"""A model server that speaks OpenAI's API and fails as it is told to, for the gateway's tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class FakeServer:
    """`faults` are taken one a request; then answers go well. `asked` are the bodies that came."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.aborted = asyncio.Event()
        self.listed: Any = {"data": [{"id": "one", "max_model_len": 4096}, {"id": "two"}]}
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _models(self, _: Request) -> Response:
        return JSONResponse(self.listed)

    async def _chat(self, request: Request) -> Response:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        fault = self.faults.pop(0) if self.faults else ""
        if fault.isdigit():
            return JSONResponse({"error": {"message": f"status {fault}"}}, int(fault))
        if fault.startswith("429 after "):
            return JSONResponse(
                {"error": "slow down"}, 429, {"retry-after": fault.removeprefix("429 after ")}
            )
        if fault == "long":
            error = {"message": "maximum context length is 10", "code": "context_length_exceeded"}
            return JSONResponse({"error": error}, 400)
        return StreamingResponse(self._stream(fault), media_type="text/event-stream")

    async def _stream(self, fault: str) -> AsyncIterator[bytes]:
        yield b": keep alive\n\nevent: x\n"
        if fault == "silent":
            await asyncio.sleep(30)
        yield _event({"choices": [{"delta": {"role": "assistant"}}]})
        if fault == "garbage":
            yield b"data: <html>\n\n"
        try:
            for number in range(1000 if fault == "endless" else 3):
                yield _event({"choices": [{"delta": {"content": f"{number} "}}]})
                await asyncio.sleep(0.01)
                if fault == "error inside":
                    yield _event({"error": {"message": "out of memory"}})
                if fault == "broken":
                    raise ConnectionError("as told")
                if fault == "stall":
                    await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.aborted.set()
            raise
        if fault == "endless":
            return
        yield _event({"choices": [{"delta": {}, "finish_reason": "length"}]})
        if fault != "no usage":
            details = {"prompt_tokens_details": {"cached_tokens": 5}}
            usage = {"prompt_tokens": 9, "completion_tokens": 3, **details}
            yield b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\r\n\r\n"
        yield b"data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
