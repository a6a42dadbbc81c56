"""Packed weights on disk: the same bits as packed now, made once, and never another model's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tests.engine.families import CASES, config_of, reference_of, write_model
from tests.engine.native.test_pack import unpacked
from troupe.engine.config import ModelConfig
from troupe.engine.native import packfile, packing
from troupe.engine.native.arena import NativeArena
from troupe.engine.native.model import NativeModel
from troupe.engine.native.pack import LAYOUT, pack
from troupe.engine.native.packfile import BESIDE, PackCache, forget
from troupe.engine.steps import Span
from troupe.engine.weights import Weights

IDS = list(range(30, 70))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "model", *CASES["qwen2"], max_shard_size="60KB")
    return tmp_path / "model"


def logits(folder: Path, cache: PackCache | None) -> Any:
    model = NativeModel.load(folder, 64, cache=cache)
    return model.step([Span(IDS, 0, [1, 2, 3], True)], NativeArena(model.config, 4))


def everything(folder: Path | None = None, limit: int = 2**30) -> PackCache:
    return PackCache(folder, limit, least=0)


def kept(path: Path) -> int:
    """Which file lies there."""
    return path.stat().st_ino


def test_a_second_start_reads_what_the_first_packed(folder: Path) -> None:
    expected = logits(folder, None)
    assert not (folder / BESIDE).exists()
    assert np.array_equal(logits(folder, everything()), expected)
    first = kept(folder / BESIDE)
    assert np.array_equal(logits(folder, everything()), expected)
    assert kept(folder / BESIDE) == first
    assert not list(folder.glob("*.draft"))


def test_a_second_start_reads_no_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = logits(folder, everything())
    monkeypatch.setattr(Weights, "rows", None)
    assert np.array_equal(logits(folder, everything()), expected)


@pytest.mark.parametrize("change", ["weights", "layout", "cut short", "other file"])
def test_what_does_not_fit_any_more_is_packed_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = logits(folder, everything())
    first = kept(folder / BESIDE)
    if change == "weights":
        path = sorted(folder.glob("*.safetensors"))[0]
        state = {name: 1.5 * tensor for name, tensor in load_file(path).items()}
        save_file(state, path)
    elif change == "layout":
        monkeypatch.setattr(packfile, "LAYOUT", LAYOUT + 1)
    elif change == "cut short":
        os.truncate(folder / BESIDE, 5000)
    else:
        (folder / BESIDE).write_bytes(b"something else")
    after = logits(folder, everything())
    assert np.array_equal(after, logits(folder, None))
    assert np.array_equal(after, before) is not (change == "weights")
    assert kept(folder / BESIDE) != first
    assert (folder / BESIDE).stat().st_size > 5000


def test_a_folder_that_cannot_be_written_leaves_it_to_another(folder: Path, tmp_path: Path) -> None:
    (folder / BESIDE).mkdir()  # nothing can be moved there
    other = tmp_path / "home" / "packed"
    expected = logits(folder, None)
    assert np.array_equal(logits(folder, everything(other)), expected)
    (made,) = other.iterdir()
    first = kept(made)
    assert np.array_equal(logits(folder, everything(other)), expected)
    assert [kept(path) for path in other.iterdir()] == [first]
    assert np.array_equal(logits(folder, everything()), expected)  # nowhere: in memory


def test_the_least_recently_used_make_room(folder: Path, tmp_path: Path) -> None:
    (folder / BESIDE).mkdir()
    other = tmp_path / "packed"
    logits(folder, everything(other))
    (made,) = other.iterdir()
    size = made.stat().st_size
    for name, age in (("old.int8", 100), ("older.int8", 200)):
        (other / name).write_bytes(bytes(size))
        os.utime(other / name, (made.stat().st_mtime - age,) * 2)
    path = sorted(folder.glob("*.safetensors"))[0]
    save_file({name: 1.5 * tensor for name, tensor in load_file(path).items()}, path)
    logits(folder, everything(other, limit=3 * size))
    names = {path.name for path in other.iterdir()}
    assert len(names) == 3
    assert made.name in names
    assert "old.int8" in names


@pytest.mark.parametrize(
    "cache", [None, PackCache(limit=0, least=0), PackCache(limit=100, least=0), PackCache()]
)
def test_nothing_is_kept_where_that_is_not_wanted(folder: Path, cache: PackCache | None) -> None:
    logits(folder, cache)
    assert not (folder / BESIDE).exists()


def test_a_model_that_is_forgotten_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "packed"
    logits(folder, everything())
    (folder / BESIDE).rename(tmp_path / "away")
    (folder / BESIDE).mkdir()
    logits(folder, everything(other))
    (folder / BESIDE).rmdir()
    (tmp_path / "away").rename(folder / BESIDE)
    forget(folder, everything(other))
    assert not (folder / BESIDE).exists()
    assert list(other.iterdir()) == []


START = """
import sys
from pathlib import Path
from tests.engine.native.test_packfile import everything, logits
sys.stdout.buffer.write(logits(Path(sys.argv[1]), everything()).tobytes())
"""


def test_processes_that_start_together_make_one_file(folder: Path) -> None:
    command = [sys.executable, "-c", START, str(folder)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    expected = logits(folder, None).tobytes()
    assert [process.communicate()[0] for process in started] == [expected] * 3
    assert not list(folder.glob("*.draft"))


@pytest.mark.parametrize("case", ["llama, all heads, biases", "gemma3", "mistral, no window"])
def test_packing_by_pieces_is_packing_whole(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(*CASES[case])
    weights = packing.InMemory(
        {name: tensor.numpy() for name, tensor in reference_of(config).state_dict().items()}
    )
    whole = packing.PackedModel.in_memory(config, weights)
    monkeypatch.setattr(packing, "PIECE", 16 * config.hidden_size)
    pieces = packing.PackedModel.in_memory(config, weights)
    for name, (_, shape) in packing.plan(config).arrays().items():
        one, other = (model._arrays[name] for model in (whole, pieces))
        assert one.shape == shape
        assert np.array_equal(one, other), name


def test_the_layout_has_a_number() -> None:
    """Should this fail because weights lie differently now: raise `LAYOUT`, and this with it."""
    weight = np.arange(-17 * 5, 17 * 5, dtype=np.float32).reshape(17, 10)
    packed = pack(weight)
    assert LAYOUT == 1
    assert packed.blocks.shape == (2, 3, 16, 4)
    assert np.array_equal(
        unpacked(packed.blocks, 17, 10), np.rint(weight / packed.scale[:, None]).astype(int)
    )


def test_the_plan_is_of_every_tensor(folder: Path) -> None:
    config = ModelConfig.load(folder)
    planned = packing.plan(config)
    used = {name for part in (*planned.matrices.values(), *planned.vectors.values())
            for name, _ in part.sources}  # fmt: skip
    absent = {f"model.layers.{i}.layer_scalar" for i in range(config.num_hidden_layers)}
    assert used - absent | {"model.embed_tokens.weight"} == set(Weights(folder))
