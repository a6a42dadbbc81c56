"""The engine's memory, from outside: bit for bit the same answers with it and without, in every
tier, over restarts."""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from tests.engine.shapes import random_model, tiny_config
from tests.engine.test_engine import answer, request, settled
from troupe.engine.backends import Name, choose
from troupe.engine.config import ModelConfig
from troupe.engine.engine import Engine
from troupe.engine.kv.index import NOTHING, chained
from troupe.engine.memory import Memory
from troupe.engine.sampler import Drawn, Sampler, draw
from troupe.engine.sampling import SamplingParams
from troupe.engine.steps import Floats, Span
from troupe.engine.types import EngineOptions


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("farther", [False, True])
async def test_logits_from_memory_equal_those_without_over_random_conversations(
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    backend: Name,
    farther: bool,
) -> None:
    """Turns, edits, swipes and aborts over a cache too small for them all, alone or before a host
    tier, a disk and restarts: every row of logits that a token is drawn from equals, bit for bit,
    the one of a run without memory."""
    seen: list[Floats] = []

    def spy(logits_RV: Floats, samplers: Sequence[Sampler]) -> list[Drawn]:
        seen.extend(logits_RV.copy())
        return draw(logits_RV, samplers)

    monkeypatch.setattr("troupe.engine.worker.draw", spy)
    rng = random.Random(9)
    room = 340 * choose(backend, ModelConfig.load(checkpoint)).token_bytes(
        ModelConfig.load(checkpoint)
    )
    options = EngineOptions(kv_bytes=room, context_length=200, backend=backend)
    if farther:
        options = replace(options, host_kv_bytes=room, disk_kv_bytes=4 * room, kv_dir=tmp_path)
    engine = Engine(checkpoint, options)
    engine.start()
    trees: list[list[int]] = [[2]]
    cached = 0
    tiers: set[str] = set()
    for turn in range(60):
        if farther and turn % 15 == 14:
            tiers |= tiers_read(engine)
            await engine.close()
            engine = Engine(checkpoint, options)
            engine.start()
        base = rng.choice(trees[-8:])
        kind = rng.choice(["turn", "edit", "swipe", "abort"])
        if kind == "edit" and len(base) > 3:
            base = base[: rng.randrange(1, len(base))]
        new = [] if kind == "swipe" else [rng.randrange(400) for _ in range(rng.randrange(1, 40))]
        prompt = [*base, *new][:180]
        sampling = SamplingParams(temperature=1.0, seed=turn)
        asked = request(prompt, rng.randrange(1, 16), sampling=sampling)
        seen.clear()
        ids: list[int] = []
        stream = engine.generate(asked)
        async for chunk in stream:
            ids += chunk.token_ids
            if chunk.usage:
                cached += chunk.usage.cached_tokens
            if kind == "abort" and len(ids) >= 3:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        await settled(engine)
        with_memory = list(seen)
        trees.append([*prompt, *ids])
        expected = logits_without_memory(engine, checkpoint, prompt, ids)
        assert len(with_memory) >= len(expected) == len(ids)  # an abort may have drawn more
        for one, other in zip(with_memory, expected, strict=False):
            assert np.array_equal(one, other)
    assert cached > 500
    assert tiers == ({"device", "host", "disk"} if farther else set())
    await engine.close()


def tiers_read(engine: Engine) -> set[str]:
    """Where tokens of prompts were found."""
    [family] = engine.metrics.cached_tokens.collect()
    return {
        sample.labels["tier"]
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value > 0
    }


async def test_a_restart_keeps_conversations_warm(checkpoint: Path, tmp_path: Path) -> None:
    options = EngineOptions(kv_bytes=2**20, disk_kv_bytes=2**22, kv_dir=tmp_path / "memory")
    prompt = list(range(20, 90))
    engine = Engine(checkpoint, options)
    engine.start()
    ids, _, _ = await answer(engine, request(prompt, cache_salt="a"))
    await engine.close()
    again = Engine(checkpoint, options)
    again.start()
    await again.loaded()
    digest = chained(NOTHING, prompt[:16])
    assert again.find("a", digest, 16) == prompt[:16]
    _, _, last = await answer(again, request([*prompt, *ids, 5], cache_salt="a"))
    assert last.usage is not None
    assert last.usage.cached_tokens == len(prompt) + len(ids) - 1
    _, _, last = await answer(again, request(prompt, cache_salt="b"))
    assert last.usage is not None
    assert last.usage.cached_tokens == 0
    await settled(again)
    await again.close()


async def test_another_model_does_not_use_what_this_one_kept(
    checkpoint: Path, tmp_path: Path
) -> None:
    options = EngineOptions(kv_bytes=2**20, disk_kv_bytes=2**22, kv_dir=tmp_path / "memory")
    prompt = list(range(20, 90))
    engine = Engine(checkpoint, options)
    engine.start()
    await answer(engine, request(prompt))
    await engine.close()
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    save_file(random_model(tiny_config(), 7).state_dict(), other / "model.safetensors")
    changed = Engine(other, options)
    changed.start()
    _, _, last = await answer(changed, request(prompt))
    assert last.usage is not None
    assert last.usage.cached_tokens == 0
    await changed.close()


async def test_two_engines_do_not_share_a_folder(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = EngineOptions(kv_bytes=2**20, disk_kv_bytes=2**22, kv_dir=tmp_path)
    first = Engine(checkpoint, options)
    with caplog.at_level(logging.WARNING):
        second = Engine(checkpoint, options)
    assert "another engine uses it" in caplog.text
    for engine in (first, second):
        engine.start()
        ids, _, _ = await answer(engine, request([2, 3]))
        assert len(ids) == 8
        await engine.close()


def logits_without_memory(
    engine: Engine, checkpoint: Path, prompt: list[int], ids: list[int]
) -> list[Floats]:
    backend = choose(engine.options.backend, engine.config)
    model = backend.load(checkpoint, engine.context_length, 1)
    rows = []
    for end in range(len(ids)):
        tokens = [*prompt, *ids[:end]]
        pages = list(range(1, 2 + len(tokens) // 16))
        arena = backend.arena(engine.config, len(pages) + 1)
        rows.append(model.step([Span(tokens, 0, pages, True)], arena)[0])
    return rows


async def test_an_idle_engine_checks_its_books_and_stops_if_they_are_wrong(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited = threading.Event()
    audit = Memory.audit

    def spy(self: Memory, wanted: Callable[[], bool]) -> None:
        audit(self, wanted)
        audited.set()

    monkeypatch.setattr("troupe.engine.memory._IDLE_S", 0.01)
    monkeypatch.setattr(Memory, "audit", spy)
    engine = Engine(checkpoint, EngineOptions(kv_bytes=2**20))
    engine.start()
    await answer(engine, request([2, 3]))
    assert await asyncio.to_thread(audited.wait, 30)
    assert engine.state == "ready"
    engine._worker.cache.tiers.device.free[0].pop()  # a page is lost
    await answer(engine, request([2, 4]))
    await asyncio.to_thread(engine._worker.join)
    assert engine.state == "failed"
    assert "lost or owned twice" in engine.why_not
    await engine.close()
