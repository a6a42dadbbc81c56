"""The embedded PostgreSQL: comes up, survives every kind of end, and is never leaked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from troupe.ops.errors import AlreadyRunning, DatabaseError, PostgresMissing
from troupe.ops.home import Home, HomeLock
from troupe.ops.postgres import Server, binaries, leftovers, prepare, running


def _rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def _value(dsn: str, query: str) -> object:
    return _rows(dsn, query)[0][0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose database is made and stopped."""
    root = tmp_path_factory.mktemp("made")
    with running(root):
        pass
    return root


@pytest.fixture
def server(made: Path) -> Iterator[Server]:
    with running(made) as started:
        yield started


def test_the_server_is_reached_by_its_socket_alone_and_ready_for_change_capture(
    server: Server,
) -> None:
    assert _value(server.dsn, "SHOW server_encoding") == "UTF8"
    assert _value(server.dsn, "SHOW wal_level") == "logical"
    assert _value(server.dsn, "SHOW listen_addresses") == ""
    assert _value(server.dsn, "SHOW data_checksums") == "on"
    assert _value(server.dsn, "SELECT current_database()") == "troupe"
    assert (server.embedded.data.parent / "socket").stat().st_mode & 0o777 == 0o700


def test_what_was_committed_is_there_after_a_stop_and_after_a_kill(made: Path) -> None:
    with running(made) as server:
        _rows(server.dsn, "DROP TABLE IF EXISTS kept")
        _rows(server.dsn, "CREATE TABLE kept AS SELECT 1 AS n")
    with running(made) as server:
        _rows(server.dsn, "INSERT INTO kept VALUES (2)")
        os.kill(server.pid, signal.SIGKILL)
    with running(made) as server:
        assert _rows(server.dsn, "SELECT n FROM kept ORDER BY n") == [(1,), (2,)]


def test_a_killed_supervisor_takes_the_server_with_it(made: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from troupe.ops.postgres import running\n"
        "with running(Path(sys.argv[1])) as server:\n"
        "    print(server.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(made)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert pid in leftovers.working_in(made / "postgres" / "data")
        supervisor.kill()
    deadline = time.monotonic() + 60
    while leftovers.working_in(made / "postgres" / "data"):
        assert time.monotonic() < deadline, "the server outlived its supervisor"
        time.sleep(0.02)


def test_a_server_left_behind_is_stopped_first(made: Path) -> None:
    left = Server(prepare(made / "postgres"), made / "logs" / "postgres.log")
    left.wait_ready()
    told: list[str] = []
    fresh = Server(prepare(made / "postgres", report=told.append), made / "logs" / "postgres.log")
    try:
        fresh.wait_ready()
        assert told == ["waiting for a PostgreSQL that was left behind to stop"]
        assert left.pid not in leftovers.working_in(made / "postgres" / "data")
    finally:
        fresh.stop()
        left.stop()


def test_a_pid_file_that_names_a_stranger_is_no_hindrance(made: Path) -> None:
    pid_file = made / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n/somewhere\n1\n5432\n\n\n0 0\nready\n")
    with running(made) as server:
        assert _value(server.dsn, "SELECT 1") == 1
    os.kill(os.getppid(), 0)


def test_a_torn_pid_file_is_no_hindrance(made: Path) -> None:
    (made / "postgres" / "data" / "postmaster.pid").write_text("")
    with running(made) as server:
        assert _value(server.dsn, "SELECT 1") == 1


def test_a_first_start_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "making-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with running(tmp_path) as server:
        assert _value(server.dsn, "SELECT 1") == 1
    assert not half.exists()


def test_a_home_whose_path_is_too_long_for_a_socket_works(tmp_path: Path) -> None:
    root = tmp_path / ("long-" * 30) / "home"
    with running(root) as server:
        assert _value(server.dsn, "SELECT 1") == 1


def test_data_of_a_version_that_is_not_here_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(PostgresMissing, match="made by PostgreSQL 9, which is not here"):
        prepare(tmp_path / "postgres")


def test_a_folder_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("not a version")
    with pytest.raises(DatabaseError, match="not a PostgreSQL data folder"):
        prepare(tmp_path / "postgres")
    assert (data / "PG_VERSION").read_text() == "not a version"


def test_programs_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(PostgresMissing, match="TROUPE_POSTGRES_BIN"):
        prepare(tmp_path / "postgres", given=tmp_path)


def test_a_second_supervisor_on_a_home_is_told_of_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    with HomeLock(home), pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
        HomeLock(home).__enter__()
    with HomeLock(home):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop to another user")
def test_as_root_the_server_runs_as_another_user_under_closed_folders(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with running(closed / "home") as server:
        owner = Path(f"/proc/{server.pid}").stat().st_uid
        assert owner not in (0, os.geteuid())
        assert _value(server.dsn, "SELECT 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    assert (closed / "home").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop to another user")
def test_as_root_programs_under_closed_folders_are_copied_once_to_where_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = binaries.find()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = source.folder.parent.parent
    shutil.copytree(source.folder.parent, closed / package.name / "pginstall", symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:
        Path(shared).chmod(0o755)
        monkeypatch.setattr(binaries, "STAGED", Path(shared) / "troupe")
        for _ in range(2):
            with running(tmp_path / "home", closed / package.name / "pginstall" / "bin") as server:
                assert _value(server.dsn, "SELECT 1") == 1
                assert server.embedded.launch.argv[0].startswith(shared)
        assert len(list((Path(shared) / "troupe").iterdir())) == 1
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("abc\n", None),
        ("12\n", leftovers.PidFile(12, "starting")),
        ("12\n/d\n1\n5432\n/s\n\n 1 2\nready   \n", leftovers.PidFile(12, "ready")),
    ],
)
def test_a_pid_file_is_read(text: str, expected: leftovers.PidFile | None) -> None:
    assert leftovers.parse(text) == expected
