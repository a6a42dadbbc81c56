"""`troupe up` as a whole: comes up, mends itself, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.engine.conftest import write_checkpoint
from tests.support.platform import Platform

PROCESSES = {"web", "engine", "worker", "postgres"}


def _until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("up"), model_dir=str(model)) as running:
        yield running


def _ready(platform: Platform, name: str) -> bool:
    port = platform.env[f"TROUPE_{name.upper()}_PORT"] if name != "web" else platform.port
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_every_process_is_up_and_ready(platform: Platform) -> None:
    _until("all four run", lambda: platform.children().keys() >= PROCESSES)
    for name in ("web", "engine", "worker"):
        _until(f"{name} is ready", lambda name=name: _ready(platform, name))
    _until("the page is shown", lambda: "Troupe is running" in platform.log.read_text())
    page = platform.log.read_text()
    assert f"Open   {platform.url}" in page
    assert str(platform.home) in page


@pytest.mark.parametrize("name", ["web", "engine", "worker", "postgres"])
def test_one_that_is_killed_comes_back_and_the_others_stay(platform: Platform, name: str) -> None:
    _until("all four run", lambda: platform.children().keys() >= PROCESSES)
    before = _pids(platform)
    assert platform.kill(name)
    _until(
        f"{name} is back",
        lambda: _pids(platform).get(name, before[name]) != before[name],
    )
    _until("the site is ready", lambda: _ready(platform, "web"))
    after = _pids(platform)
    assert {each for each in PROCESSES if after[each] != before[each]} == {name}


def _pids(platform: Platform) -> dict[str, int]:
    return {name: process.pid for name, process in platform.children().items()}


def test_a_second_instance_on_the_home_is_refused(platform: Platform) -> None:
    second = Platform(platform.home)
    second.log = platform.home / "second.log"
    with pytest.raises(RuntimeError, match="already runs on"):
        second.start()


def test_every_process_says_how_it_is(platform: Platform) -> None:
    for port in (
        platform.port,
        platform.env["TROUPE_ENGINE_PORT"],
        platform.env["TROUPE_WORKER_PORT"],
    ):
        address = f"http://127.0.0.1:{port}"
        _until("it answers", lambda address=address: _answers(f"{address}/healthz"))
        assert "# HELP" in httpx.get(f"{address}/metrics").text


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_request_id_is_sent_back_and_logged(platform: Platform) -> None:
    asked = httpx.get(f"{platform.url}/api/v1/session", headers={"X-Request-ID": "seen-1"})
    assert asked.headers["x-request-id"] == "seen-1"
    log = platform.home / "logs" / "web.log"
    _until("it is logged", lambda: '"request_id": "seen-1"' in log.read_text())


def test_after_a_kill_of_the_supervisor_nothing_is_left_and_the_next_start_works(
    tmp_path: Path, model: Path
) -> None:
    with Platform(tmp_path, model_dir=str(model)) as platform:
        _until("all four run", lambda: platform.children().keys() >= PROCESSES)
        family = psutil.Process(platform.pid).children(recursive=True)
        os.kill(platform.pid, signal.SIGKILL)
        _until("all are gone", lambda: not any(_runs(process) for process in family))
        platform.stop()
        platform.start()
        family = psutil.Process(platform.pid).children(recursive=True)
        os.kill(platform.pid, signal.SIGTERM)
        _until("all are gone", lambda: not any(_runs(process) for process in family))
        assert platform.stop() == 0


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
