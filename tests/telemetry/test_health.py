"""The pages that say whether a process is alive, ready, and how it does."""

from __future__ import annotations

import asyncio

import httpx
from starlette.applications import Starlette

from troupe.telemetry import health, metrics


async def _get(readiness: health.Readiness, path: str) -> httpx.Response:
    app = Starlette(routes=health.routes(readiness))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get(path)


async def _well() -> str | None:
    return None


async def test_ready_when_every_check_passes() -> None:
    readiness = health.Readiness()
    readiness.add("database", _well)
    answer = await _get(readiness, "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {"database": "ok"}}


async def test_not_ready_says_which_check_failed_and_why() -> None:
    async def refuses() -> str | None:
        raise ConnectionRefusedError("port 5432")

    async def says() -> str | None:
        return "the model is loading"

    async def hangs() -> str | None:
        await asyncio.sleep(60)
        return None

    readiness = health.Readiness()
    readiness.add("well", _well)
    readiness.add("database", refuses)
    readiness.add("model", says)
    readiness.add("engine", hangs, limit_s=0.01)
    answer = await _get(readiness, "/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "checks": {
            "well": "ok",
            "database": "ConnectionRefusedError: port 5432",
            "model": "the model is loading",
            "engine": "no answer within 0.01 s",
        },
    }
    assert (await _get(readiness, "/healthz")).status_code == 200


async def test_many_questions_at_once_run_a_check_once() -> None:
    runs = 0

    async def counted() -> str | None:
        nonlocal runs
        runs += 1
        return None

    readiness = health.Readiness()
    readiness.add("database", counted)
    await asyncio.gather(*(readiness.report() for _ in range(50)))
    assert runs == 1


async def test_metrics_are_exposed_and_listed() -> None:
    metrics.identify("test")
    answer = await _get(health.Readiness(), "/metrics")
    assert 'troupe_process_info{process="test"} 1.0' in answer.text
    assert "process_resident_memory_bytes" in answer.text
    assert "troupe_process_info" in [metric.name for metric in metrics.described()]
