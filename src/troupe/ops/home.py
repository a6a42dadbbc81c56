"""The home folder: what lies where in it, and the lock that one supervisor holds.

Called by everything in `ops` that touches a file. All state is here, and nothing outside.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from troupe.ops.errors import AlreadyRunning, HomeError


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under the home folder, which is absolute."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The embedded server's data and socket; belongs to the user it runs as."""
        return self.root / "postgres"

    @property
    def logs(self) -> Path:
        """A log file for each supervised process, rotated."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """What was generated at the first start, readable by the owner only."""
        return self.root / "secrets"

    @property
    def lock_file(self) -> Path:
        """Locked by the running supervisor; holds its process id."""
        return self.root / "supervisor.lock"

    def make(self) -> None:
        """Make the folders that are missing, for the owner only. Raises `HomeError`."""
        try:
            for folder in (self.root, self.logs, self.secrets):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise PermissionError(f"no permission to write in {self.root}")
        except OSError as error:
            raise HomeError(
                f"the home folder {self.root} cannot be used: {error.strerror or error}",
                "Set TROUPE_HOME to a folder that you may write to",
            ) from error


class HomeLock:
    """Held by one supervisor at a time; the kernel frees it when its holder dies, however."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._fd: int | None = None

    def __enter__(self) -> HomeLock:
        path = self._home.lock_file
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise AlreadyRunning(
                f"another Troupe (process {holder}) already runs on {self._home.root}",
                "Stop it, or set TROUPE_HOME to another folder",
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all, and durably."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
