"""Engines that announce themselves, and what an operator sees and does of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.engine.conftest import write_checkpoint
from tests.support.platform import free_ports
from tests.support.redis_server import RedisServer, redis_server
from troupe.cli import troupe
from troupe.ops import engines
from troupe.ops.errors import OpsError
from troupe.settings import Settings


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as running:
        yield running


def settings(redis: RedisServer | None, **more: object) -> Settings:
    given = {"engine_url": "http://127.0.0.1:1;weight=3", **more}
    if redis is not None:
        given["redis_url"] = redis.url
    return Settings(**given)  # type: ignore[arg-type]


def test_an_engine_is_announced_listed_drained_and_gone(redis: RedisServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    told = {
        "TROUPE_REDIS_URL": redis.url,
        "TROUPE_ENGINE_ANNOUNCE": f"{url};weight=2",
        "TROUPE_ENGINE_PORT": str(port),
        "TROUPE_MODEL_DIR": str(write_checkpoint(tmp_path / "tiny")),
        "TROUPE_ENGINE_URL": "http://127.0.0.1:1;weight=3",
    }
    argv = [sys.executable, "-m", "troupe", "serve", "engine"]
    with subprocess.Popen(argv, env=os.environ | told, stderr=subprocess.DEVNULL) as process:
        try:
            expected = {"http://127.0.0.1:1": (3.0, False), url: (2.0, True)}
            deadline = time.monotonic() + 60
            while {
                each.member.url: (each.member.weight, not each.why_not)
                for each in engines.seen(settings(redis))
            } != expected:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            run = CliRunner(env=told)
            assert run.invoke(troupe, ["engines", "drain", url]).exit_code == 0
            listed = run.invoke(troupe, ["engines", "list"]).output.splitlines()
            assert listed[1].split() == [url, "2", "ready,", "draining"]
            assert "cannot be reached" in listed[0]
            assert run.invoke(troupe, ["engines", "drain", "--undo", url]).exit_code == 0
            assert run.invoke(troupe, ["engines", "list"]).output.endswith("ready\n")
        finally:
            process.send_signal(signal.SIGTERM)
    assert [each.member.url for each in engines.seen(settings(redis))] == ["http://127.0.0.1:1"]


def test_what_cannot_be_drained_is_said_with_what_to_do(redis: RedisServer) -> None:
    with pytest.raises(OpsError, match="no engine http://nowhere"):
        engines.drain(settings(redis), "http://nowhere:1", True)
    with pytest.raises(OpsError, match="TROUPE_REDIS_URL"):
        engines.drain(settings(None), "http://127.0.0.1:1", True)


@pytest.mark.parametrize(
    ("more", "why"),
    [({}, "TROUPE_REDIS_URL"), ({"redis_url": "redis://127.0.0.1:1"}, "no http or https")],
)
def test_an_announcement_that_cannot_be_made_stops_the_start(
    more: dict[str, object], why: str
) -> None:
    with (
        pytest.raises(OpsError, match=why),
        engines.announcing(settings(None, engine_announce="gpu-3:8010", **more)),
    ):
        pass
