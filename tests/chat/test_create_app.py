"""The service as it is started: settings, database, gateway, and a model behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.engine.conftest import write_checkpoint
from tests.support.catalog import CatalogRows
from tests.support.chat_client import ChatClient
from tests.support.chat_server import SECRET, ChatServer
from tests.support.serving import serving
from troupe import tokens
from troupe.chat.app import UVICORN_OPTIONS, MissingSetting, create_app
from troupe.engine.server import EngineServerOptions
from troupe.engine.server import create_app as create_engine
from troupe.engine.types import EngineOptions
from troupe.gateway.errors import UpstreamError
from troupe.settings import Settings

KEY = "tr-a-key"


@asynccontextmanager
async def started(settings: Settings, rows: CatalogRows) -> AsyncIterator[ChatClient]:
    """The service from `create_app`, and a person who uses it."""
    app = create_app(settings)
    async with serving(app, **UVICORN_OPTIONS) as port:
        user = uuid4()
        token = tokens.sign(SECRET, user, "Ada", guest=False)
        client = ChatClient(port, user, token)
        rows.api_key(f"key of {user}", user)
        try:
            yield client
        finally:
            await client.close()


def upstream_settings(settings: Settings, port: int) -> Settings:
    """Models from an OpenAI-compatible server and from nowhere else."""
    return settings.model_copy(
        update={
            "engine_url": "http://127.0.0.1:1",
            "openai_base_url": f"http://127.0.0.1:{port}/v1",
            "openai_api_key": SecretStr(KEY),
            "discover_local_models": False,
            "default_model": "openai:scripted:one",
            "instance": "web-1",
        }
    )


async def test_an_openai_server_answers_and_may_die_in_between(server: ChatServer) -> None:
    """The server of the other tests is the upstream: one Troupe behind another."""
    server.rows.api_key(KEY, server.rows.owner)
    server.models.script = lambda request: ["Mind ", "the ", "step."]
    async with started(upstream_settings(server.settings, server.port), server.rows) as ada:
        models = (await ada.http.get("/models")).json()
        assert "openai:scripted:one" in [model["id"] for model in models["models"]]
        chat = (await ada.new_chat())["id"]
        async with await ada.socket() as socket:
            done = await ada.say(socket, chat, "Hi")
            assert (done["state"], done["body"]) == ("complete", "Mind the step.")
            assert done["meta"]["provider"] == "openai"
            assert done["meta"]["cached_tokens"] == 40
            asked = server.models.requests[-1].messages
            assert asked is not None
            assert "You are Mira" in asked[0]["content"]
            server.models.failure, server.models.fail_after = UpstreamError("dies"), 2
            broken = await ada.say(socket, chat, "And?")
            assert (broken["state"], broken["body"]) == ("interrupted", "Mind the ")


async def test_the_engine_answers_and_reuses_what_it_computed(
    chat_settings: Settings, rows: CatalogRows, tmp_path: Path
) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    options = EngineServerOptions(folder, engine=EngineOptions(kv_bytes=4 * 2**20))
    async with serving(create_engine(options)) as port:
        settings = chat_settings.model_copy(
            update={
                "engine_url": f"http://127.0.0.1:{port}",
                "model_dir": folder,
                "discover_local_models": False,
            }
        )
        async with started(settings, rows) as ada:
            offered = (await ada.http.get("/models")).json()
            assert offered["default"] == "tiny"
            chat = (await ada.new_chat())["id"]
            await ada.http.patch(f"/chats/{chat}", json={"sampling": {"max_tokens": 8}})
            async with await ada.socket() as socket:
                first = await ada.say(socket, chat, "Hi")
                second = await ada.say(socket, chat, "Ho")
    for done in (first, second):
        assert done["state"] == "complete", done["meta"]
        assert done["meta"]["model"] == "tiny"
        assert done["meta"]["completion_tokens"] <= 8
    assert second["meta"]["cached_tokens"] > 0


def test_a_missing_setting_is_named(chat_settings: Settings) -> None:
    without = chat_settings.model_copy(update={"database_url": None})
    with pytest.raises(MissingSetting, match="TROUPE_DATABASE_URL"):
        create_app(without)
    with pytest.raises(MissingSetting, match="TROUPE_SECRET_KEY"):
        create_app(chat_settings.model_copy(update={"secret_key": None}))
