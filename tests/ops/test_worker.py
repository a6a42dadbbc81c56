"""Jobs: each in its own time, and none stopped by another's failure."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from prometheus_client import REGISTRY

from troupe.ops.worker import Job, repeat, run_once


def _runs(job: str, outcome: str) -> float:
    labels = {"job": job, "outcome": outcome}
    return REGISTRY.get_sample_value("troupe_worker_runs_total", labels) or 0.0


async def test_a_run_is_counted_with_what_it_did() -> None:
    async def seal() -> int:
        return 3

    await run_once(Job("seal-1", 60, seal))
    assert _runs("seal-1", "ok") == 1
    assert REGISTRY.get_sample_value("troupe_worker_items_total", {"job": "seal-1"}) == 3
    assert REGISTRY.get_sample_value("troupe_worker_last_ok_seconds", {"job": "seal-1"}) is not None


async def test_a_job_that_fails_has_its_next_turn() -> None:
    done = asyncio.Event()
    tries = 0

    async def sometimes() -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionError("the database is away")
        done.set()
        return 0

    task = asyncio.create_task(repeat(Job("sometimes", 0.001, sometimes)))
    async with asyncio.timeout(30):
        await done.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert _runs("sometimes", "failed") == 2
