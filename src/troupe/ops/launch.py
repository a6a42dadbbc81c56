"""How a child process is started: as whom, where, and bound to its parent's life.

Knows nothing of what the child does. Called by the supervisor and the embedded PostgreSQL.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from troupe.ops.errors import OpsError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to become before a program starts."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Launch:
    """A program and how to start it.

    `folder` is entered before privileges are dropped, so that the folders above it need not be
    open to `identity`. `death_signal` is what the child gets from the kernel when the thread that
    started it ends, even by SIGKILL (Linux only).
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    identity: Identity | None = None
    death_signal: signal.Signals = signal.SIGTERM

    @contextmanager
    def in_child(self) -> Iterator[Callable[[], None]]:
        """What to run between fork and exec; start the child inside the `with` block.

        It makes system calls only: no locks, no imports.
        """
        parent = os.getpid()
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        folder = os.open(self.folder, flags) if self.folder is not None else None

        def prepare() -> None:
            os.umask(0o077)
            if folder is not None:
                os.fchdir(folder)
            if self.identity is not None:
                os.setgroups([])
                os.setgid(self.identity.gid)
                os.setuid(self.identity.uid)
            # After setuid, which would clear it.
            if _LIBC is not None:
                _LIBC.prctl(_PR_SET_PDEATHSIG, int(self.death_signal), 0, 0, 0)
                if os.getppid() != parent:  # it died before we asked to be told
                    os._exit(1)

        try:
            yield prepare
        finally:
            if folder is not None:
                os.close(folder)


def database_identity(folder: Path) -> Identity | None:
    """As whom a database server over `folder` runs: ourselves (None), or, as root, the folder's
    owner, the user `postgres`, or `nobody`, since PostgreSQL refuses to run as root.

    Raises `OpsError` if there is no such user.
    """
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError as error:
            raise OpsError(
                f"the user id {os.geteuid()} has no name on this machine, which PostgreSQL needs",
                "Add it to /etc/passwd, or set TROUPE_DATABASE_URL",
            ) from error
        return None
    if folder.exists() and (owner := folder.stat()).st_uid != 0:
        return Identity(owner.st_uid, owner.st_gid, _name_of(owner.st_uid))
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Identity(found.pw_uid, found.pw_gid, name)
    raise OpsError(
        "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`",
        "Run Troupe as another user, or set TROUPE_DATABASE_URL",
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError as error:
        raise OpsError(
            f"the database folder belongs to the user id {uid}, which has no name on this machine",
            "Give it to `postgres` with chown -R, or set TROUPE_DATABASE_URL",
        ) from error
