"""The engine on Ray Serve, from Troupe's settings: `troupe serve engine --ray`, or
`serve run troupe.ops.ray_engine:app` on a cluster that is there.

The replicas' router is the gateway's: a conversation stays with one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from troupe.engine.ray_serve import NAME, deployment
from troupe.ops.serve import engine_options
from troupe.settings import Settings

if TYPE_CHECKING:
    from ray import serve

ROUTER = "troupe.gateway.ray_router:RendezvousRouter"
OBJECT_STORE_BYTES = 80 * 2**20  # Ray's least: what passes here is short text, and goes by messages


def app(arguments: Mapping[str, str]) -> serve.Application:
    """What `serve run` and `serve deploy` call. Arguments are settings by their names in lower
    case: `model_dir=/models/m engine_replicas=4`; the rest is as the environment says."""
    return application(Settings(**arguments))  # type: ignore[arg-type]


def application(settings: Settings) -> serve.Application:
    """`TROUPE_ENGINE_REPLICAS` replicas. Their memory is not kept on disk, since a replica that
    Ray starts again is another one."""
    options = engine_options(settings, disk=False)
    return deployment(options, settings.engine_replicas, ROUTER)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: on the cluster that RAY_ADDRESS names, or on one of this
    machine, made for that."""
    # Ray reports to its makers otherwise, and starts processes that nothing here would use.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_enable_worker_prestart", "0")
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    import ray
    from ray import serve

    if "RAY_ADDRESS" in os.environ:
        ray.init(log_to_driver=False)
    else:
        ray.init(
            include_dashboard=False,
            log_to_driver=False,
            num_cpus=settings.engine_replicas * (settings.engine_threads or 1) + 1,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        serve.start(http_options={"host": settings.engine_host, "port": settings.engine_port})
        serve.run(application(settings), name=NAME, route_prefix="/")
        over.wait()
        serve.shutdown()
    finally:
        ray.shutdown()
