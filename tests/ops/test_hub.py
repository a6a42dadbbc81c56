"""Downloading a model from a server that speaks the Hub's file API, over real connections."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import tiny_tokenizer
from tests.engine.families import CASES, write_model
from tests.support.hub_server import COMMIT
from troupe.ops import hub as hub_module
from troupe.ops.errors import HubError, ModelError
from troupe.ops.hub import Hub, pull
from troupe.ops.models import Model, known, remove
from troupe.settings import Settings

Serve = Callable[..., Hub]


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories: a model in several files, with what the engine does not need beside it."""
    root = tmp_path_factory.mktemp("hub")
    folder = root / "someone" / "tiny-llama"
    write_model(folder, *CASES["llama, llama3 rope"], max_shard_size="60KB")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "README.md").write_text("A model.")
    (folder / "original.safetensors").write_bytes(b"the same again" * 1000)
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy of one's own, to change."""
    return shutil.copytree(published, tmp_path / "hub")


@pytest.fixture
def serve(root: Path) -> Iterator[Serve]:
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, token: str | None = None) -> Hub:
        command = [sys.executable, "-m", "tests.support.hub_server", str(root), *options]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(server)
        assert server.stdout is not None
        return Hub(f"http://127.0.0.1:{int(server.stdout.readline())}", token)

    yield start
    for server in started:
        server.terminate()
        server.communicate()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PAUSE_S", 0.0)


def fetched(settings: Settings, hub: Hub, source: str = "someone/tiny-llama") -> Model:
    return pull(settings, hub, source, None, lambda name, here, whole: None)


def asked(root: Path) -> list[list[str]]:
    return [line.split() for line in (root / "requests.log").read_text().splitlines()]


@pytest.mark.parametrize("revision", ["", "@v1.0", f"@{COMMIT}"])
def test_a_model_is_downloaded_with_only_what_the_engine_reads(
    settings: Settings, serve: Serve, root: Path, revision: str
) -> None:
    model = fetched(settings, serve(), f"someone/tiny-llama{revision}")
    assert model.fit, model.said
    assert model.name == "tiny-llama"
    there, here = root / "someone" / "tiny-llama", settings.root / "models" / "tiny-llama"
    names = {path.name for path in here.iterdir()}
    assert names == {path.name for path in there.iterdir()} - {
        "README.md", "original.safetensors"} | {"troupe-source.json"}  # fmt: skip
    for name in names - {"troupe-source.json"}:
        assert (here / name).read_bytes() == (there / name).read_bytes()
    assert json.loads((here / "troupe-source.json").read_text())["commit"] == COMMIT
    assert next(found.name for found in known(settings)) == "tiny-llama"
    assert [path.name for path in here.parent.iterdir()] == ["tiny-llama"]


def test_a_lost_connection_is_taken_up_where_it_broke(
    settings: Settings, serve: Serve, root: Path
) -> None:
    assert fetched(settings, serve("--break-after", "1000")).fit
    first = asked(root)[0][0]
    assert [line[1] for line in asked(root) if line[0] == first] == ["None", "bytes=1000-"]


def test_a_download_that_was_given_up_goes_on_at_the_next_call(
    settings: Settings, serve: Serve, root: Path
) -> None:
    with pytest.raises(HubError, match=r"broke off.*goes on from there"):
        fetched(settings, serve("--break-after", "1000", "--always"))
    before = len(asked(root))
    assert not (settings.root / "models" / "tiny-llama").exists()
    assert not any(model.name.startswith(".") for model in known(settings))
    assert fetched(settings, serve()).fit
    again = asked(root)[before]
    assert again[0] == asked(root)[0][0]
    assert again[1].startswith("bytes=")
    names = [line[0] for line in asked(root)[before:]]
    assert len(names) == len(set(names))


def test_a_damaged_file_is_fetched_again_and_never_kept(
    settings: Settings, serve: Serve, root: Path
) -> None:
    index = json.loads((root / "someone/tiny-llama/model.safetensors.index.json").read_text())
    name = sorted(index["weight_map"].values())[0]
    with pytest.raises(HubError, match=f"{name} does not have the checksum"):
        fetched(settings, serve("--damage", name))
    assert not (settings.root / "models" / "tiny-llama").exists()
    assert fetched(settings, serve()).fit


def test_a_token_opens_a_gated_model_and_stays_with_the_hub(
    settings: Settings, serve: Serve, root: Path
) -> None:
    closed = serve("--token", "hf_secret")
    with pytest.raises(HubError, match=r"private or gated.*HF_TOKEN"):
        fetched(settings, closed)
    assert fetched(settings, Hub(closed.endpoint, "hf_secret")).fit
    assert {line[2] for line in asked(root)} == {"open"}


def test_a_model_that_cannot_be_served_costs_no_weights(
    settings: Settings, serve: Serve, root: Path
) -> None:
    path = root / "someone" / "tiny-llama" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": "mamba"}))
    with pytest.raises(HubError, match="model_type is 'mamba'"):
        fetched(settings, serve())
    assert not (root / "requests.log").exists()


def test_a_disk_without_room_is_told_before_the_weights(
    settings: Settings, serve: Serve, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(root)
    least = (root / "someone/tiny-llama/tokenizer.json").stat().st_size + 40_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=least))
    with pytest.raises(HubError, match=r"GB are still to come.*Make room"):
        fetched(settings, serve())
    assert not (root / "requests.log").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("tokenizer.json", r"has no tokenizer\.json"),
        ("config.json", r"has no config\.json"),
        ("model.safetensors.index.json", r"has no model\.safetensors; it has weights as \.bin"),
    ],
)
def test_what_a_repository_lacks_is_named(
    settings: Settings, serve: Serve, root: Path, change: str, complaint: str
) -> None:
    (root / "someone" / "tiny-llama" / change).rename(
        root / "someone" / "tiny-llama" / "pytorch_model.bin"
    )
    with pytest.raises(HubError, match=complaint):
        fetched(settings, serve())


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("someone/nothing", "does not exist"),
        ("someone/tiny-llama@v9", "does not exist"),
        ("tiny-llama", "names no repository"),
        ("../secret", "names no repository"),
        ("a/b/c", "names no repository"),
    ],
)
def test_what_is_not_there_is_told(
    settings: Settings, serve: Serve, source: str, complaint: str
) -> None:
    with pytest.raises(HubError, match=complaint):
        fetched(settings, serve(), source)


def test_a_name_that_is_taken_is_told_before_anything_is_asked(
    settings: Settings, serve: Serve
) -> None:
    hub = serve()
    assert fetched(settings, hub).fit
    with pytest.raises(ModelError, match="there is a model tiny-llama already"):
        fetched(settings, hub)
    remove(settings, "tiny-llama")
    assert fetched(settings, hub).fit


def test_a_hub_that_is_not_there_is_one_clear_line(settings: Settings) -> None:
    with pytest.raises(HubError, match=r"127\.0\.0\.1 cannot be reached.*HF_ENDPOINT"):
        fetched(settings, Hub("http://127.0.0.1:9"))


def test_the_environment_says_which_hub_and_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert Hub.of_environment() == Hub("https://huggingface.co")
    (tmp_path / "token").write_text("hf_kept\n")
    assert Hub.of_environment().token == "hf_kept"
    monkeypatch.setenv("HF_TOKEN", "hf_given")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert Hub.of_environment() == Hub("https://mirror.example", "hf_given")
