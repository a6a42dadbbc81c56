"""Servers that an earlier supervisor left on a data folder, told apart from strangers.

`postmaster.pid` may name a process that is long gone, or one that has since been given to some
other program; only a process that works in the data folder is its server.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ASK_AGAIN_S = 60.0  # a fast stop that has not ended by then is followed by an immediate one


@dataclass(frozen=True, slots=True)
class PidFile:
    """What `postmaster.pid` says: the server's process, and its status once it has one."""

    pid: int
    status: str


def parse(text: str) -> PidFile | None:
    """Read a `postmaster.pid` (PostgreSQL's pidfile.h: pid, folder, time, port, socket folder,
    address, shared memory, status; one a line). None if it is torn."""
    lines = text.splitlines()
    if not lines or not lines[0].strip().isdigit():
        return None
    return PidFile(int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting")


def read(data: Path) -> PidFile | None:
    """The pid file of a data folder, or None where there is none."""
    try:
        return parse((data / "postmaster.pid").read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None


def working_in(folder: Path) -> list[int]:
    """Processes whose working folder this is: a server over it, and what it started."""
    wanted = folder.stat()
    found = []
    for pid in _processes():
        with suppress(OSError):
            seen = Path(_working_folder(pid)).stat()
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(pid)
    return found


def clear(data: Path, report: Callable[[str], None]) -> None:
    """End what still runs on a data folder, and take away a pid file that names a stranger.

    Only for a caller who holds the lock of the home folder, so that no server here is in use.
    """
    leftovers = working_in(data)
    if leftovers:
        named = read(data)
        server = named.pid if named is not None and named.pid in leftovers else None
        report("waiting for a PostgreSQL that was left behind to stop")
        _stop(data, leftovers if server is None else [server])
    (data / "postmaster.pid").unlink(missing_ok=True)


def _stop(data: Path, pids: list[int]) -> None:
    """A fast stop, then an immediate one. Never SIGKILL: that would leave shared memory behind."""
    asked = time.monotonic()
    how = signal.SIGINT
    _signal(pids, how)
    while working_in(data):
        if time.monotonic() - asked > ASK_AGAIN_S:
            asked, how = time.monotonic(), signal.SIGQUIT
            _signal(working_in(data), how)
        time.sleep(0.05)


def _signal(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)


def _processes() -> list[int]:
    if Path("/proc/self").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    import psutil

    return psutil.pids()


def _working_folder(pid: int) -> str:
    link = f"/proc/{pid}/cwd"
    if Path("/proc/self").exists():
        return link
    import psutil

    try:
        return psutil.Process(pid).cwd()
    except psutil.Error as error:
        raise OSError(str(error)) from error
