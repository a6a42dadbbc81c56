"""What an operator sees of the service: readiness, metrics, paths that are not served."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import REGISTRY

from tests.support.chat_server import ChatServer
from tests.support.scripted import MODEL
from troupe.gateway.types import ModelInfo


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_readiness_tells_what_is_missing(server: ChatServer) -> None:
    readiness = server.service.readiness()
    assert (await readiness.report()).ready

    async def none_ready() -> list[ModelInfo]:
        return [replace(MODEL, ready=False, why_not="the engine is loading")]

    server.models.models = none_ready  # type: ignore[method-assign]
    report = await server.service.readiness().report()
    assert report.checks == {"chat database": None, "models": "the engine is loading"}


async def test_what_happens_is_counted(server: ChatServer) -> None:
    ada = server.user()
    chat = (await ada.new_chat())["id"]
    sends = sample("troupe_chat_sends_total", kind="send")
    answers = sample("troupe_chat_answers_total", state="complete")
    frames = sample("troupe_chat_frames_total")
    tokens = sample("troupe_chat_first_token_seconds_count")
    refused = sample("troupe_chat_refused_total", code="not_found")
    async with await ada.socket() as socket:
        assert sample("troupe_chat_sockets") == 1
        await ada.say(socket, chat, "Hi")
        await socket.send("resume", message=f"{server.rows.owner}.0.0.0")
        await socket.receive()
    assert sample("troupe_chat_sends_total", kind="send") == sends + 1
    assert sample("troupe_chat_answers_total", state="complete") == answers + 1
    assert sample("troupe_chat_frames_total") >= frames + 4
    assert sample("troupe_chat_first_token_seconds_count") == tokens + 1
    assert sample("troupe_chat_refused_total", code="not_found") == refused + 1
    assert sample("troupe_chat_streams") == 0


async def test_paths_that_are_not_served_are_json_errors(server: ChatServer) -> None:
    ada = server.user()
    nothing = await ada.http.get("/nothing")
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "not_found")
    wrong = await ada.http.put("/chats")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "not_found")
    openai = await ada.http.get(f"http://127.0.0.1:{server.port}/v1/nothing")
    assert openai.status_code == 404
    assert openai.json()["error"]["type"] == "invalid_request_error"
