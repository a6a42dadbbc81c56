"""Models by name: added, listed, checked, removed, and served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.engine.conftest import write_checkpoint
from tests.support.platform import free_ports
from troupe.engine.config import ModelConfig
from troupe.engine.native.packfile import BESIDE, PackCache, packed
from troupe.engine.trial import Closeness
from troupe.engine.weights import Weights
from troupe.ops.errors import ModelError
from troupe.ops.model_check import Finding, check, count, judge
from troupe.ops.models import add, find, folder_of, known, look_at, remove
from troupe.settings import MODELS, Settings

SHIPPED = MODELS / "troupe-small"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "somewhere" / "tiny")


def run(settings: Settings, *command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}
    return subprocess.run(
        [sys.executable, "-m", "troupe", *command],
        check=False,
        env={**kept, "TROUPE_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def findings(settings: Settings, folder: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in check(settings, folder)}


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_gets_a_name_and_loses_it(settings: Settings, folder: Path, copy: bool) -> None:
    model = add(settings, folder, "mine", copy)
    assert model.fit
    assert model.name == "mine"
    assert model.folder.is_symlink() is not copy
    assert find(settings, "mine") == folder_of(settings) / "mine"
    assert "mine" in [known_model.name for known_model in known(settings)]
    remove(settings, "mine")
    assert "mine" not in [known_model.name for known_model in known(settings)]
    assert look_at(folder).fit
    assert list(folder_of(settings).iterdir()) == []


def test_a_model_that_is_removed_takes_its_packed_weights_along(
    settings: Settings, folder: Path
) -> None:
    config, weights = ModelConfig.load(folder), Weights(folder)
    add(settings, folder, "mine")
    packed(folder, config, weights, PackCache(least=0))
    assert (folder / BESIDE).is_file()
    (folder / BESIDE).rename(folder / "aside")
    (folder / BESIDE).mkdir()
    packed(folder, config, weights, PackCache(settings.pack_folder, least=0))
    assert len(list(settings.pack_folder.iterdir())) == 1
    (folder / BESIDE).rmdir()
    (folder / "aside").rename(folder / BESIDE)
    remove(settings, "mine")
    assert not (folder / BESIDE).exists()
    assert list(settings.pack_folder.iterdir()) == []


def test_a_link_that_leads_nowhere_can_be_removed(settings: Settings, folder: Path) -> None:
    add(settings, folder, "mine")
    folder.rename(folder.with_name("moved"))
    (lost,) = [model for model in known(settings) if model.name == "mine"]
    assert not lost.fit
    assert "is not there" in lost.said
    remove(settings, "mine")
    assert list(folder_of(settings).iterdir()) == []


def test_the_setting_takes_a_name_or_a_path(settings: Settings, folder: Path) -> None:
    add(settings, folder, "mine")
    named = Settings(home=settings.home, model_dir=Path("mine"))
    assert named.model_folder == folder_of(settings) / "mine"
    assert Settings(home=settings.home, model_dir=folder).model_folder == folder
    assert Settings(home=settings.home, model_dir=Path("troupe-small")).model_folder == SHIPPED
    assert settings.model_folder == SHIPPED


@pytest.mark.parametrize("name", ["troupe-small", "../up", ".hidden", "a/b", "x" * 97, ""])
def test_a_name_that_is_none_or_taken_is_refused(
    settings: Settings, folder: Path, name: str
) -> None:
    folder_of(settings).mkdir(parents=True)
    with pytest.raises(ModelError, match="model"):
        add(settings, folder, name or " ")
    with pytest.raises(ModelError, match="there is no model"):
        remove(settings, name)
    assert list(folder_of(settings).iterdir()) == []


def test_a_folder_that_cannot_be_served_gets_no_name(settings: Settings, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "enable_moe_block": True}))
    with pytest.raises(ModelError, match="enable_moe_block"):
        add(settings, folder)
    assert not folder_of(settings).exists()


def test_the_shipped_model_passes_its_check(settings: Settings) -> None:
    found = findings(settings, SHIPPED)
    assert {name: f.level for name, f in found.items()} == dict.fromkeys(found, "ok")
    assert found["backend"].said.startswith("native: int8")
    assert "nats from float32" in found["reference"].said
    assert "tokens/s" in found["speed"].said
    assert "MB" in found["loading"].said


def test_a_model_without_a_chat_template_is_told_of(settings: Settings, folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    found = findings(settings, folder)["chat"]
    assert found.level == "warn"
    assert "no chat template" in found.said


@pytest.mark.parametrize(
    ("divergence", "backend", "level", "advice"),
    [
        (0.003, "native", "ok", "nats from float32"),
        (0.05, "native", "warn", "TROUPE_ENGINE_BACKEND=eager"),
        (1.5, "native", "fail", "another model's answer"),
        (1.5, "eager", "fail", "damaged"),
    ],
)
def test_distance_from_the_reference_is_judged(
    divergence: float, backend: str, level: str, advice: str
) -> None:
    found = judge(Closeness(divergence, 0.9, 32), backend)
    assert found.level == level
    assert advice in found.said


def test_the_command_line_names_lists_checks_and_forgets(settings: Settings, folder: Path) -> None:
    done = run(settings, "models", "add", str(folder))
    assert done.returncode == 0, done.stderr
    assert "TROUPE_MODEL_DIR=tiny" in done.stdout
    listed = run(settings, "models", "list").stdout.splitlines()
    (line,) = [line for line in listed if " tiny " in line]
    assert line.split()[1::5] == ["gemma4", "native"]
    assert any(line.startswith("* troupe-small") for line in listed)
    done = run(settings, "models", "check", "tiny")
    assert "reference" in done.stdout
    assert "is removed" in run(settings, "models", "remove", "tiny").stdout
    assert "there is no model tiny" in run(settings, "models", "remove", "tiny").stderr


def test_the_engine_serves_a_model_by_its_name(settings: Settings, folder: Path) -> None:
    add(settings, folder, "mine")
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "troupe", "serve", "engine", "--model", "mine"]
    environment = {**os.environ, "TROUPE_HOME": str(settings.home)}
    with subprocess.Popen([*command, "--port", str(port)], env=environment) as server:
        try:
            transport = httpx.HTTPTransport(retries=8)  # while it starts
            with httpx.Client(transport=transport, timeout=60) as client:
                listed = client.get(f"http://127.0.0.1:{port}/v1/models").json()
        finally:
            server.terminate()
    assert [model["id"] for model in listed["data"]] == ["mine"]


@pytest.mark.parametrize(
    ("number", "said"),
    [(7, "7"), (65_432, "65k"), (5_900_000, "5.9M"), (134_500_000, "134M"), (8_030_261_248, "8.0B"),
     (70_553_706_496, "70.6B")],
)  # fmt: skip
def test_parameters_are_counted_as_people_do(number: int, said: str) -> None:
    assert count(number) == said
