"""Requests find their part, and parts live and die with the process."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from troupe.ops.web import Dispatch


def _part(name: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"{name} {scope['path']}")(scope, receive, send)

    return app


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/session", "core /api/v1/session"),
        ("/v1/models", "chat /v1/models"),
        ("/chat/v1/chats", "chat /chat/v1/chats"),
        ("/chats/123", "rest /chats/123"),
        ("/apiary", "rest /apiary"),
        ("/", "rest /"),
        ("//api", "core //api"),
    ],
)
async def test_the_first_piece_of_a_path_finds_its_part(path: str, expected: str) -> None:
    parts = {"api": _part("core"), "v1": _part("chat"), "chat": _part("chat")}
    app = Dispatch(parts, _part("rest"), Starlette())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://here"
    ) as client:
        assert (await client.get(f"http://here{path}")).text == expected
