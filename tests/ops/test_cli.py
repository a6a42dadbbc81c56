"""The command line: quick to start, and clear when something is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from troupe.ops.home import Home, HomeLock


def _troupe(home: Path, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
    return subprocess.run(
        [sys.executable, "-m", "troupe", *command],
        check=False,
        env={**kept, "TROUPE_HOME": str(home), **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from troupe.cli import troupe\n"
        "try: troupe(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'django', 'torch', 'pydantic', 'psycopg', 'starlette', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _troupe(tmp_path, "up", TROUPE_PORT=str(port))
    assert done.returncode == 1
    assert f"error: port {port} is in use" in done.stderr
    assert "TROUPE_PORT" in done.stderr
    assert f"(process {os.getpid()})" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_second_instance_on_a_home_is_told_of_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    with HomeLock(home):
        done = _troupe(tmp_path, "up")
    assert done.returncode == 1
    assert f"another Troupe (process {os.getpid()}) already runs on {tmp_path}" in done.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"TROUPE_PORT": "many"}, "TROUPE_PORT"),
        ({"TROUPE_LOG_LEVEL": "loud"}, "TROUPE_LOG_LEVEL"),
        ({"TROUPE_HOST": "no.such.host.invalid"}, "not one of this machine"),
        ({"TROUPE_HOME": "/proc/troupe"}, "the home folder /proc/troupe cannot be used"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    done = _troupe(tmp_path, "up", **settings)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://nobody:hidden@127.0.0.1:1/none", "cannot be reached"),
        ("not a dsn", "is not a PostgreSQL DSN"),
    ],
)
def test_a_database_that_is_not_there_is_one_clear_line_without_its_password(
    tmp_path: Path, dsn: str, said: str
) -> None:
    done = _troupe(tmp_path, "migrate", TROUPE_DATABASE_URL=dsn)
    assert done.returncode == 1
    assert said in done.stderr
    assert "hidden" not in done.stderr
    assert "Traceback" not in done.stderr


def test_serving_without_a_database_says_how_to_get_one(tmp_path: Path) -> None:
    done = _troupe(tmp_path, "serve", "web")
    assert done.returncode == 1
    assert "Start `troupe up`, or set TROUPE_DATABASE_URL" in done.stderr


def test_a_model_folder_that_cannot_be_served_is_explained(tmp_path: Path) -> None:
    done = _troupe(tmp_path, "models", "check", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "is not there" in done.stderr
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    done = _troupe(tmp_path, "models", "check", str(tmp_path / "half"))
    assert "lacks tokenizer.json, *.safetensors" in done.stderr


def test_doctor_says_what_to_mend_and_ends_accordingly(tmp_path: Path) -> None:
    done = _troupe(tmp_path, "doctor", TROUPE_PROT="1", TROUPE_DATABASE_URL="host=127.0.0.1 port=1")
    assert done.returncode == 1
    assert "TROUPE_PROT is not a setting" in done.stdout
    assert "FAIL  postgres" in done.stdout
    assert "ok    home" in done.stdout
    assert done.stderr == ""
