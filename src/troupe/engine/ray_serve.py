"""The engine as a Ray Serve deployment: the same application, in as many replicas as Ray is told.

    from ray import serve

    options = EngineServerOptions(Path("model"))
    serve.run(deployment(options, replicas=2), route_prefix="/")

Each replica holds the model and a memory of its own; answers, refusals and health are those of
`server.py`. Which replica gets a request is for a router to say, given by the caller. Needs the
extra `ray`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ray import serve
from ray.serve.config import RequestRouterConfig
from starlette.applications import Starlette

from troupe.engine.engine import Engine
from troupe.engine.errors import EngineStopped
from troupe.engine.server import EngineServerOptions, create_app

NAME = "engine"
_SPARE = 32  # requests beside answers: health, models, metrics


def deployment(
    options: EngineServerOptions,
    replicas: int = 1,
    router: str | None = None,
    actor_options: Mapping[str, Any] | None = None,
) -> serve.Application:
    """An application of Ray Serve. `router` names a request router's class by its import path;
    without one it is Ray's, which knows no conversations. `actor_options` are Ray's for each
    replica, such as `num_gpus`; one processor for each computing thread is asked for."""
    engines: list[Engine] = []  # of this replica, once it has begun

    def build() -> Starlette:
        app = create_app(options)
        engines.append(app.state.engine)
        inside = app.router.lifespan_context

        @asynccontextmanager
        async def loaded(of: Starlette) -> AsyncIterator[Any]:
            # A replica is there for Ray once it can answer.
            async with inside(of) as state:
                await of.state.engine.loaded()
                yield state

        app.router.lifespan_context = loaded
        return app

    class EngineReplica:
        """One replica."""

        async def check_health(self) -> None:
            """Ray asks now and then, and starts a replica that raises again."""
            for engine in engines:
                if engine.state in ("failed", "stopped"):
                    raise EngineStopped(engine.why_not)

    at_once = options.engine.max_sequences + options.engine.max_waiting
    config = RequestRouterConfig(request_router_class=router) if router else RequestRouterConfig()
    made = serve.deployment(
        serve.ingress(build)(EngineReplica),
        name=NAME,
        num_replicas=replicas,
        # The engine's own queue says when it is full, with 429.
        max_ongoing_requests=at_once + _SPARE,
        ray_actor_options={"num_cpus": options.engine.threads or 1, **(actor_options or {})},
        request_router_config=config,
        health_check_period_s=5,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=options.drain_seconds,
    )
    return made.bind()
