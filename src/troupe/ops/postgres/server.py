"""The embedded server as a child of this very process, for tests, benchmarks and one-off commands.

`troupe up` does not use it: there the supervisor runs the launch that `prepare` gives.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from troupe.ops.errors import PostgresFailed
from troupe.ops.home import Home, HomeLock
from troupe.ops.postgres.embedded import Embedded, prepare, status


class Server:
    """A running server. Start it from the main thread: it stops when the thread ends."""

    def __init__(self, embedded: Embedded, log: Path) -> None:
        self.embedded = embedded
        self._log = log
        with log.open("ab") as out, embedded.launch.in_child() as prepare_child:
            self._process = subprocess.Popen(
                list(embedded.launch.argv),
                env=dict(embedded.launch.env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=prepare_child,  # noqa: PLW1509 - it makes system calls only
            )

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def dsn(self) -> str:
        """Where the database is."""
        return self.embedded.dsn

    def wait_ready(self) -> None:
        """Wait until it takes connections, however long recovery takes. Raises `PostgresFailed`."""
        while status(self.embedded, self.pid) != "ready":
            if self._process.poll() is not None:
                last = self._log.read_text(errors="replace").splitlines()[-5:]
                raise PostgresFailed(
                    f"PostgreSQL ended with status {self._process.returncode}: {' / '.join(last)}"
                )
            time.sleep(0.005)

    def stop(self) -> None:
        """A fast stop: sessions are ended, what was committed is kept."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()


@contextmanager
def running(root: Path, given: Path | None = None) -> Iterator[Server]:
    """The embedded server of a home folder, ready, for the time of a `with` block."""
    home = Home(root)
    home.make()
    with HomeLock(home):
        server = Server(prepare(home.postgres, given), home.logs / "postgres.log")
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()
