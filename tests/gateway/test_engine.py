"""The gateway and Troupe's own engine, over HTTP, with a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import write_checkpoint
from tests.support.serving import serving
from troupe.engine.server import EngineServerOptions, create_app
from troupe.gateway import Gateway
from troupe.gateway.errors import BadRequest
from troupe.gateway.providers.troupe import STARTING, TroupeProvider
from troupe.gateway.types import Delta, Finish, GenerationRequest, Sampling
from troupe.prompt import ChatFormat


async def test_an_answer_by_token_ids_and_its_cache(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    options = EngineServerOptions(model_dir=folder)
    async with serving(create_app(options)) as port:
        gateway = Gateway([TroupeProvider(f"http://127.0.0.1:{port}")])
        model = await gateway.resolve(None)
        while not model.ready:
            model = await gateway.resolve(None)
        assert model.id == "tiny"
        assert model.chat_format in ChatFormat
        prompt = model.tokenizer.encode("a long enough prompt to fill a page of keys and values")
        finishes = []
        for _ in range(2):
            request = GenerationRequest(
                model.id, "chat", Sampling(temperature=0.0, max_tokens=8), token_ids=prompt
            )
            events = [event async for event in gateway.stream(request)]
            assert all(isinstance(event, Delta) for event in events[:-1])
            assert isinstance(events[-1], Finish)
            finishes.append(events[-1])
        assert finishes[0].usage.prompt_tokens == len(prompt)
        assert finishes[0].usage.cached_tokens == 0
        assert finishes[1].usage.cached_tokens > 0
        beyond = GenerationRequest(model.id, "chat", Sampling(), token_ids=[10**6])
        with pytest.raises(BadRequest):
            await anext(gateway.stream(beyond))
    [away] = await _later(gateway)
    assert not away.ready
    assert away.why_not == STARTING
    await gateway.close()


async def _later(gateway: Gateway) -> list:  # type: ignore[type-arg]
    """The models once the list has gone stale."""
    gateway._served[0].asked_at = float("-inf")
    return await gateway.models()
