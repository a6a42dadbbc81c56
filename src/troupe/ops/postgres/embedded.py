"""The embedded server's data folder: made once, and how to launch the server on it.

Called by the supervisor through `prepare`, with the home folder's lock held. Everything lies in
one folder that belongs to the user the server runs as: `data`, and `socket`, the only way in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from troupe.ops.errors import DatabaseError, PostgresFailed
from troupe.ops.launch import Identity, Launch, database_identity
from troupe.ops.postgres import binaries, leftovers

DATABASE = "troupe"
USER = "troupe"
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_LIMIT = 103  # the shortest limit of the systems we run on, its NUL left out (macOS)

# A small server: a few connections, little memory, fit for change capture by logical decoding.
_CONFIGURATION = """
# ---- Troupe: written once; edit as you like ----
wal_level = logical
shared_buffers = 64MB
max_connections = 100
work_mem = 4MB
maintenance_work_mem = 64MB
max_wal_size = 1GB
autovacuum_max_workers = 2
max_parallel_workers = 2
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""
_SINCE_18 = "io_method = sync\n"  # three processes fewer, and reads here come from memory
_INITDB = (
    "--encoding=UTF8",
    "--locale=C",
    "--data-checksums",
    "--no-instructions",
    "--auth-local=trust",
    "--auth-host=reject",
)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A data folder that is ready, how to start its server, and where to reach it."""

    data: Path
    launch: Launch
    dsn: str


def prepare(
    folder: Path, given: Path | None = None, report: Callable[[str], None] = lambda _: None
) -> Embedded:
    """Make the data folder if there is none, end what an earlier run left on it, and say how to
    launch the server. `given` is a folder of PostgreSQL's programs; `report` is told of anything
    that may take long. Raises `OpsError`.
    """
    identity = database_identity(folder)
    data, sockets = folder / "data", folder / "socket"
    _make_folder(folder, identity)
    _make_folder(sockets, identity)
    programs = binaries.find(given, binaries.major_of(data))
    programs = binaries.reachable(programs, identity)
    if data.exists():
        leftovers.clear(data, report)
    else:
        report("making the database")
        _initialise(folder, data, programs, identity)
    launch = Launch(
        argv=[
            str(programs.folder / "postgres"),
            "-D",
            _as_seen_inside(data, identity),
            # The socket is the only way in, and the folder around it belongs to one user.
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_directories=../socket",
            "-c",
            "unix_socket_permissions=0700",
            "-c",
            "port=5432",
            "-c",
            "logging_collector=off",
            "-c",
            "log_destination=stderr",
        ],
        env=_environment(),
        folder=data,
        identity=identity,
        death_signal=signal.SIGINT,  # PostgreSQL's fast stop
    )
    return Embedded(data, launch, address(folder))


def address(folder: Path) -> str:
    """The DSN of the server over this folder, whether it runs or not."""
    host = str(_short(folder / "socket")).replace("\\", "\\\\").replace("'", "\\'")
    return f"host='{host}' port=5432 user={USER} dbname={DATABASE}"


def status(embedded: Embedded, pid: int) -> str:
    """`starting`, `ready` or `stopping`, as the server of this process id says."""
    said = leftovers.read(embedded.data)
    return said.status if said is not None and said.pid == pid else "starting"


def _make_folder(folder: Path, identity: Identity | None) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if identity is not None:
        os.chown(folder, identity.uid, identity.gid)
    elif folder.stat().st_uid != os.geteuid():
        raise DatabaseError(
            f"{folder} belongs to another user (id {folder.stat().st_uid})",
            "Run Troupe as that user, or give the folder to yours",
        )
    folder.chmod(0o700)


def _as_seen_inside(data: Path, identity: Identity | None) -> str:
    """The data folder as the server names it. Another user than ours may be unable to walk there
    from the root, but its working folder is always open to it by this name."""
    if identity is not None and sys.platform == "linux":
        return "/proc/self/cwd"
    return str(data)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **kept}


def _initialise(
    folder: Path, data: Path, programs: binaries.Binaries, identity: Identity | None
) -> None:
    """Make a cluster beside its place and rename it there: half of one is never seen."""
    for left in folder.glob("making-*"):
        shutil.rmtree(left)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=folder))
    _make_folder(making, identity)
    inside = _as_seen_inside(making, identity)
    how = Launch([], _environment(), making, identity)
    _run([str(programs.folder / "initdb"), "-D", inside, f"--username={USER}", *_INITDB], how)
    settings = _CONFIGURATION + (_SINCE_18 if programs.major >= 18 else "")
    with (making / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write(settings)
    single = [str(programs.folder / "postgres"), "--single", "-D", inside, "postgres"]
    _run(single, how, f"CREATE DATABASE {DATABASE}\n")
    making.rename(data)


def _run(argv: Sequence[str], how: Launch, text: str = "") -> None:
    with how.in_child() as prepare_child:
        done = subprocess.run(
            argv,
            check=False,
            input=text,
            capture_output=True,
            text=True,
            env=dict(how.env),
            preexec_fn=prepare_child,
        )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise PostgresFailed(
            f"{Path(argv[0]).name} failed with status {done.returncode}: {' / '.join(said)}",
            "`troupe doctor` checks what it needs",
        )


def _short(sockets: Path) -> str:
    """The socket's folder under a name short enough for a socket's address: itself, or a link to
    it in a private folder."""
    if len(os.fsencode(sockets / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT:
        return str(sockets)
    mark = hashlib.sha256(os.fsencode(sockets)).hexdigest()[:12]
    base = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108 - private folder made below
    private = Path(base) / f"troupe-{os.geteuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.geteuid()
        or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise DatabaseError(
            f"{private}, which would hold a short name of the database's socket, is not ours alone",
            "Remove it, or set TROUPE_HOME to a shorter path",
        )
    link = private / mark
    partial = private / f"{mark}.{os.getpid()}"
    partial.symlink_to(sockets)
    partial.replace(link)
    return str(link)
