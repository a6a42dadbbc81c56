"""`troupe serve NAME`: one process of Troupe, in the foreground.

The supervisor runs these; so may a container, one each. Each sets up its telemetry, then serves
until SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from troupe.ops import ports
from troupe.ops.database import complete
from troupe.ops.errors import PartMissing
from troupe.settings import Settings
from troupe.telemetry import logs, metrics, traces

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from troupe.engine.server import EngineServerOptions

_DRAIN_S = 5  # how long a stop waits for requests; answers being written are then settled
_ON_THE_WIRE: dict[str, Any] = {
    "http": "httptools",
    "loop": "uvloop",
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,  # it would triple the memory of a socket
    "ws_max_size": 128 * 1024,
    "ws_ping_interval": 30.0,
    "ws_ping_timeout": 30.0,
}


def web(settings: Settings) -> None:
    """Core, chat and the web app."""
    from troupe.ops.web import web_app

    _serve_app("web", settings, web_app)


def core(settings: Settings) -> None:
    """Core alone."""
    from troupe.ops.web import core_app

    _serve_app("core", settings, core_app)


def chat(settings: Settings) -> None:
    """Chat and the OpenAI-compatible API alone."""
    from troupe.ops.web import chat_app

    _serve_app("chat", settings, chat_app)


def engine(settings: Settings, ray: bool = False) -> None:
    """The inference engine; with `ray`, in replicas of Ray Serve."""
    ports.check(settings.engine_host, settings.engine_port, "TROUPE_ENGINE_PORT")
    try:
        options = engine_options(settings)
        from troupe.engine.server import run

        if ray:
            from troupe.ops import ray_engine
    except ModuleNotFoundError as error:
        raise PartMissing(
            f"the engine lacks the package {error.name}",
            f"Install it with `pip install 'troupe[engine{',ray' if ray else ''}]'`",
        ) from error
    _telemetry("engine", settings)
    raise_open_files()
    if ray:
        ray_engine.run(settings)
    elif settings.engine_announce is None:
        run(options)
    else:  # imported then only: the gateway's packages are not the engine's
        from troupe.ops.engines import announcing

        with announcing(settings):
            run(options)
    traces.shutdown()


def engine_options(settings: Settings, disk: bool = True) -> EngineServerOptions:
    """What the settings say of an engine; without `disk` it keeps its memory in memory only."""
    from troupe.engine.server import EngineServerOptions
    from troupe.engine.types import EngineOptions

    token = settings.engine_operator_token
    return EngineServerOptions(
        model_dir=settings.model_folder,
        host=settings.engine_host,
        port=settings.engine_port,
        engine=EngineOptions(
            threads=settings.engine_threads,
            kv_bytes=settings.engine_kv_mb * 2**20,
            host_kv_bytes=settings.engine_host_kv_mb * 2**20,
            disk_kv_bytes=settings.engine_disk_kv_mb * 2**20 if disk else 0,
            kv_dir=settings.engine_kv_dir or settings.root / "engine-memory",
            max_sequences=settings.engine_max_sequences,
            backend=settings.engine_backend,
            pack_folder=settings.pack_folder,
            pack_bytes=settings.pack_bytes,
            step_tokens=settings.engine_step_tokens,
            queue_target_s=settings.engine_queue_target_s,
            prompt_lookup=settings.engine_prompt_lookup,
        ),
        operator_token=token.get_secret_value() if token is not None else None,
    )


def worker(settings: Settings) -> None:
    """Periodic jobs, and a health page on loopback."""
    from troupe.ops.worker import run

    settings = complete(settings)
    ports.check("127.0.0.1", settings.worker_port, "TROUPE_WORKER_PORT")
    _telemetry("worker", settings)
    asyncio.run(run(settings))
    traces.shutdown()


def _serve_app(name: str, settings: Settings, make: Callable[[Settings], ASGIApp]) -> None:
    import uvicorn

    settings = complete(settings)
    ports.check(settings.host, settings.port, "TROUPE_PORT")
    _telemetry(name, settings)
    raise_open_files()
    app = make(settings)
    gc.collect()
    gc.freeze()  # what was imported stays; collections need not look at it again
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=4096,
        timeout_graceful_shutdown=_DRAIN_S,
        **_ON_THE_WIRE,
    )
    server = uvicorn.Server(config)
    server.run()
    traces.shutdown()
    if not server.started:
        raise SystemExit(3)  # the log says why


def _telemetry(name: str, settings: Settings) -> None:
    logs.configure(name, settings.log_level, settings.log_format)
    metrics.identify(name)
    traces.configure(name, settings.otlp_endpoint)


def raise_open_files() -> int:
    """Let this process hold as many files as it is allowed to, since each socket is one; how many
    that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1_048_576
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft
