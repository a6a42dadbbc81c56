"""An engine's server in a thread, on a port of the system's choice."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from troupe.engine.engine import Engine
from troupe.engine.server import EngineServerOptions, create_app


@contextmanager
def serving_in_thread(options: EngineServerOptions) -> Iterator[tuple[str, Engine]]:
    """Address of a server that is ready, and its engine."""
    app = create_app(options)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, proxy_headers=False))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        wait_ready(base)
        yield base, app.state.engine
        server.should_exit = True
        thread.join()


def wait_ready(base: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a server answers that it is ready."""
    deadline = time.monotonic() + 60
    said = "nothing"
    while time.monotonic() < deadline:
        assert process is None or process.poll() is None, "the server ended"
        try:
            answer = httpx.get(base + "/readyz")
            said = answer.text
            if answer.status_code == 200:
                return
            if answer.json()["status"] == "failed":
                break
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"the server never became ready; it says {said}")
