"""`troupe doctor`: looks at the machine and says what to mend.

Each check is a function of the settings that gives findings; none changes anything that lasts.
"""

from __future__ import annotations

import locale
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from troupe.ops import database, ports, spa
from troupe.ops.errors import OpsError
from troupe.ops.home import Home, HomeLock
from troupe.ops.launch import database_identity
from troupe.ops.postgres import binaries
from troupe.settings import Settings

MINIMUM_PYTHON = (3, 11)
DISK_WANTED_MB = 2048
DISK_NEEDED_MB = 256
MEMORY_WANTED_MB = 1500
FILES_WANTED = 4096

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `remedy` says what to do, unless all is well."""

    name: str
    level: Level
    said: str
    remedy: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check's findings, one after the other."""
    for check in CHECKS:
        try:
            yield from check(settings)
        except OpsError as error:
            yield Finding(check.__name__.strip("_"), "fail", error.what, error.remedy)


def _python(_: Settings) -> Iterator[Finding]:
    said = sys.version.split()[0]
    if sys.version_info < MINIMUM_PYTHON:
        yield Finding("python", "fail", said, "Install Python 3.11 or later")
    else:
        yield Finding("python", "ok", said)


def _variables(_: Settings) -> Iterator[Finding]:
    known = {f"TROUPE_{name.upper()}" for name in Settings.model_fields}
    strange = sorted(
        name for name in os.environ if name.startswith("TROUPE_") and name not in known
    )
    for name in strange:
        if not name.startswith("TROUPE_TEST_"):
            yield Finding(
                "settings", "warn", f"{name} is not a setting", "See docs/configuration.md"
            )
    if not strange:
        yield Finding("settings", "ok", "every TROUPE_* variable is known")


def _home(settings: Settings) -> Iterator[Finding]:
    home = Home(settings.root)
    home.make()
    with tempfile.TemporaryFile(dir=home.root) as probe:
        probe.write(b"0" * 4096)
    yield Finding("home", "ok", f"{home.root} can be written to")
    free = shutil.disk_usage(home.root).free // 2**20
    if free < DISK_WANTED_MB:
        level: Level = "fail" if free < DISK_NEEDED_MB else "warn"
        remedy = f"Free some, or set TROUPE_HOME to a disk with {DISK_WANTED_MB} MB"
        yield Finding("disk", level, f"{free} MB free", remedy)
    else:
        yield Finding("disk", "ok", f"{free} MB free")


def _memory(_: Settings) -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available // 2**20
    if free < MEMORY_WANTED_MB:
        remedy = f"Troupe wants about {MEMORY_WANTED_MB} MB; end other programs"
        yield Finding("memory", "warn", f"{free} MB available", remedy)
    else:
        yield Finding("memory", "ok", f"{free} MB available")


def _files(_: Settings) -> Iterator[Finding]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    said = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    if hard != resource.RLIM_INFINITY and hard < FILES_WANTED:
        remedy = "Each socket is one; raise the hard limit with `ulimit -Hn` or limits.conf"
        yield Finding("open files", "warn", f"at most {said}", remedy)
    else:
        yield Finding("open files", "ok", f"at most {said}")


def _locale(_: Settings) -> Iterator[Finding]:
    encoding = locale.getencoding()
    if encoding.upper().replace("-", "") != "UTF8":
        yield Finding("locale", "warn", f"text is {encoding}", "Set LANG=C.UTF-8")
    else:
        yield Finding("locale", "ok", encoding)


def _ports(settings: Settings) -> Iterator[Finding]:
    home = Home(settings.root)
    try:
        with HomeLock(home):
            pass
    except OpsError as error:
        yield Finding("ports", "ok", f"not looked at: {error.what}")
        return
    wanted = [
        (settings.host, settings.port, "TROUPE_PORT"),
        *(("127.0.0.1", port, "TROUPE_ENGINE_PORT") for port in settings.own_engine_ports),
        ("127.0.0.1", settings.worker_port, "TROUPE_WORKER_PORT"),
    ]
    for host, port, setting in wanted:
        try:
            ports.check(host, port, setting)
            yield Finding("ports", "ok", f"{host}:{port} is free")
        except OpsError as error:
            yield Finding("ports", "fail", error.what, error.remedy)


def _postgres(settings: Settings) -> Iterator[Finding]:
    if settings.database_url is not None:
        version = database.check(settings.database_url)
        yield Finding("database", "ok", f"PostgreSQL {version} of TROUPE_DATABASE_URL")
        return
    folder = Home(settings.root).postgres
    found = binaries.find(settings.postgres_bin, binaries.major_of(folder / "data"))
    identity = database_identity(folder)
    as_whom = f", to run as {identity.name}" if identity is not None else ""
    yield Finding("database", "ok", f"PostgreSQL {found.major} in {found.folder}{as_whom}")


def _model(settings: Settings) -> Iterator[Finding]:
    if settings.engine_url is not None:
        yield Finding("model", "ok", f"of the engine at {settings.engine_url}")
        return
    from troupe.ops import models

    found = models.look_at(settings.model_folder)
    yield Finding("model", "ok" if found.fit else "fail", found.said, found.remedy)


def _web(_: Settings) -> Iterator[Finding]:
    if (spa.DIST / "index.html").is_file():
        yield Finding("web app", "ok", f"built in {spa.DIST}")
    else:
        remedy = "Run `make web` in the source folder"
        yield Finding("web app", "warn", f"not built: no {spa.DIST}/index.html", remedy)


CHECKS: tuple[Check, ...] = (
    _python,
    _variables,
    _home,
    _memory,
    _files,
    _locale,
    _ports,
    _postgres,
    _model,
    _web,
)
