"""Whether a process is alive, and whether it is fit for traffic and why not.

`/healthz` answers while the event loop runs. `/readyz` runs named checks, each with a time limit,
and answers 503 with the reasons if one fails. Every server mounts `routes`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from troupe.telemetry import metrics

# A check gives None when all is well, else the reason; it may raise instead.
Check = Callable[[], Awaitable[str | None]]

KEPT_S = 0.25  # a report is kept this long, so that a flood of questions asks the database once


@dataclass(frozen=True, slots=True)
class Report:
    """What the checks said: a name to None or to the reason."""

    checks: dict[str, str | None]

    @property
    def ready(self) -> bool:
        """Whether every check passed."""
        return not any(self.checks.values())


class Readiness:
    """The named checks of one process."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, float]] = {}
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Report] | None = None

    def add(self, name: str, check: Check, limit_s: float = 2.0) -> None:
        """Add a check; one that takes longer than `limit_s` has failed."""
        self._checks[name] = (check, limit_s)

    def include(self, other: Readiness) -> None:
        """Take over another part's checks."""
        self._checks.update(other._checks)

    async def report(self) -> Report:
        """Run all checks at once, or give a report of the last quarter of a second."""
        async with self._lock:
            if self._kept is not None and time.monotonic() - self._kept[0] < KEPT_S:
                return self._kept[1]
            names = list(self._checks)
            reasons = await asyncio.gather(*(_run(*self._checks[name]) for name in names))
            report = Report(dict(zip(names, reasons, strict=True)))
            self._kept = (time.monotonic(), report)
            return report


async def _run(check: Check, limit_s: float) -> str | None:
    try:
        async with asyncio.timeout(limit_s):
            return await check()
    except TimeoutError:
        return f"no answer within {limit_s:g} s"
    except Exception as error:  # whatever goes wrong in a check is its reason
        return f"{type(error).__name__}: {error}"


def routes(readiness: Readiness, registry: CollectorRegistry = REGISTRY) -> list[Route]:
    """`/healthz`, `/readyz` and `/metrics`."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        report = await readiness.report()
        body = {
            "status": "ready" if report.ready else "not ready",
            "checks": {name: why or "ok" for name, why in report.checks.items()},
        }
        return JSONResponse(body, status_code=200 if report.ready else 503)

    async def exposed(_: Request) -> Response:
        text = await asyncio.to_thread(metrics.exposition, registry)
        return Response(text, headers={"content-type": metrics.CONTENT_TYPE})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposed)]
