"""A whole Troupe under test: `troupe up` in a home of its own, on free ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

ADMIN_PASSWORD = "correct horse battery staple"
API_KEY = "tr_" + "k" * 43
START_LIMIT_S = 120


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_row(count: int) -> int:
    """The first of so many ports in a row that nothing listens on now."""
    while True:
        first = free_ports(1)[0]
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


class Platform:
    """Starts on entering, stops on leaving; `kill` ends one of its processes the hard way."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        web, worker = free_ports(2)
        engine = free_row(int(settings.get("engine_replicas", "1")))
        self.url = f"http://127.0.0.1:{web}"
        self.port = web
        self.env = os.environ | {
            "TROUPE_HOME": str(home),
            "TROUPE_PORT": str(web),
            "TROUPE_ENGINE_PORT": str(engine),
            "TROUPE_WORKER_PORT": str(worker),
            "TROUPE_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "TROUPE_API_KEY": API_KEY,
            "TROUPE_DISCOVER_LOCAL_MODELS": "false",
            **{f"TROUPE_{name.upper()}": value for name, value in settings.items()},
        }
        self.log = home / "up.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Platform:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start and wait until the site is fit for traffic."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "troupe", "up"],
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait for /readyz. Raises `RuntimeError` with the log's end if it never comes."""
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"not ready; the log ends with:\n{self.log_tail()}")

    def log_tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> int:
        """Stop as Ctrl-C does, and give the exit status."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            raise

    def children(self) -> dict[str, psutil.Process]:
        """The supervised processes by name: web, engine, worker, postgres; and engine-1 and so on
        where there are replicas."""
        found: dict[str, psutil.Process] = {}
        for child in self._descendants():
            with contextlib.suppress(psutil.Error):
                line = child.cmdline()
                if "serve" in line and line[-1] != "serve":
                    name = line[line.index("serve") + 1]
                    if name == "engine":
                        name = child.environ()["TROUPE_INSTANCE"].removesuffix("-0")
                    found[name] = child
                elif line and Path(line[0]).name == "postgres":
                    found.setdefault("postgres", child)
        return found

    def _descendants(self) -> Iterator[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from psutil.Process(self.pid).children(recursive=True)

    def kill(self, name: str) -> bool:
        """kill -9 one process; false if it does not run just now."""
        child = self.children().get(name)
        if child is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
            return True
        return False
