"""The worker process: jobs that nobody waits for, each in its own time.

A job that fails is logged, counted and tried again in its next turn; the others go on. Called by
`troupe serve worker`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import uvicorn
from prometheus_client import Counter, Gauge, Histogram
from starlette.applications import Starlette

from troupe.ops.errors import ChildFailed
from troupe.ops.launch import Launch
from troupe.settings import Settings
from troupe.telemetry import health, logs, traces
from troupe.telemetry.request_id import bound

RUNS = Counter(
    "troupe_worker_runs_total", "Runs of a job, by outcome: ok, failed.", ["job", "outcome"]
)
SECONDS = Histogram(
    "troupe_worker_seconds",
    "Time of one run of a job.",
    ["job"],
    buckets=(0.01, 0.05, 0.25, 1, 5, 30, 120, 600),
)
LAST_OK = Gauge(
    "troupe_worker_last_ok_seconds", "When a job last succeeded, in Unix seconds.", ["job"]
)
DONE = Counter(
    "troupe_worker_items_total", "Things that a job did, such as segments written.", ["job"]
)

OWNER_GONE_S = 60.0  # a process that wrote answers and is not heard of for so long is gone

_log = logs.get("troupe.worker")


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `every_s` seconds; `run` gives how many things it did. The first time
    comes after `first_s` seconds, `every_s` if not given."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[int]]
    first_s: float | None = None


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    readiness = health.Readiness()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with _jobs(settings, readiness) as jobs, asyncio.TaskGroup() as group:
            tasks = [group.create_task(repeat(job)) for job in jobs]
            yield
            for task in tasks:
                task.cancel()

    app = Starlette(routes=health.routes(readiness), lifespan=lifespan)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=settings.worker_port,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    await server.serve()
    if not server.started:
        raise SystemExit(3)  # the log says why


async def repeat(job: Job) -> None:
    """Run a job again and again, counting from the end of a run to the beginning of the next."""
    await asyncio.sleep(job.every_s if job.first_s is None else job.first_s)
    while True:
        await run_once(job)
        await asyncio.sleep(job.every_s)


async def run_once(job: Job) -> None:
    """One run, with its log line, its metrics and its span."""
    began = time.monotonic()
    with bound(), traces.span(f"job {job.name}"):
        try:
            done = await job.run()
        except Exception:
            RUNS.labels(job.name, "failed").inc()
            _log.exception("job failed", job=job.name)
            return
        finally:
            SECONDS.labels(job.name).observe(time.monotonic() - began)
        RUNS.labels(job.name, "ok").inc()
        LAST_OK.labels(job.name).set(time.time())
        DONE.labels(job.name).inc(done)
        if done:
            _log.info("job done", job=job.name, did=done)


@asynccontextmanager
async def _jobs(settings: Settings, readiness: health.Readiness) -> AsyncIterator[Sequence[Job]]:
    """The jobs of all tiers, and what they need open."""
    from troupe.chat.store.postgres import PostgresStore

    dsn = settings.chat_database_url or settings.database_url
    assert dsn is not None
    async with PostgresStore(dsn, max_connections=2) as store:

        async def check_store() -> str | None:
            await store.inbox("nobody", limit=1)
            return None

        async def recover() -> int:
            return await store.recover("worker", uuid4().hex, OWNER_GONE_S)

        readiness.add("chat database", check_store)
        yield [
            Job("recover", 20.0, recover),
            Job("seal", 30.0, store.seal),
            Job("sessions", 24 * 3600.0, _clear_sessions, first_s=600.0),
        ]


async def _clear_sessions() -> int:
    """In a process that ends with it, so that the worker never holds Django in memory."""
    argv = [sys.executable, "-m", "troupe.ops.sessions"]
    launch = Launch(argv, os.environ, death_signal=signal.SIGKILL)
    with launch.in_child() as prepare_child:
        process = await asyncio.create_subprocess_exec(
            *argv, env=dict(launch.env), preexec_fn=prepare_child
        )
    if (status := await process.wait()) != 0:
        raise ChildFailed(f"the clearing of sessions ended with status {status}")
    return 0
