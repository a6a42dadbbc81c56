"""What is kept outlives the process: pages on disk, and the tree beside them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from tests.engine.memory import Bench
from troupe.engine.kv import check, snapshot
from troupe.engine.steps import GLOBAL

TALKS = [[1000 * number + i for i in range(50 + 7 * number)] for number in range(1, 5)]


def bench_of(folder: Path, disk: int = 60, local: int | None = None) -> Bench:
    window = None if local is None else 20
    return Bench(10, local, window=window, slack=16, host=6, disk=disk, folder=folder)


def stopped(bench: Bench, fingerprint: str = "one") -> int:
    assert bench.disk is not None
    pages = snapshot.save(bench.cache, bench.folder / "tree.npz", fingerprint)
    check(bench.cache)
    bench.disk.close()
    return pages


def started(folder: Path, fingerprint: str = "one", **options: int) -> Bench:
    bench = bench_of(folder, **options)
    snapshot.load(bench.cache, folder / "tree.npz", fingerprint)
    check(bench.cache)
    return bench


@pytest.mark.parametrize("local", [None, 9])
def test_after_a_restart_everything_is_found_on_disk(tmp_path: Path, local: int | None) -> None:
    bench = bench_of(tmp_path, local=local)
    for talk in TALKS:
        bench.keep(talk, salt="a")
    bench.keep(TALKS[0], salt="b")
    held = [bench.held(talk, "a") for talk in TALKS]
    stopped(bench)
    again = bench_of(tmp_path, local=local)
    pages = snapshot.load(again.cache, tmp_path / "tree.npz", "one")
    check(again.cache)
    assert again.cache.used_pages(0)[GLOBAL] == again.cache.used_pages(1)[GLOBAL] == 0
    assert again.cache.used_pages(2)[GLOBAL] == pages
    assert [again.held(talk, "a") for talk in TALKS] == held
    assert again.keep(TALKS[3], salt="a") == len(TALKS[3]) - 1  # and holds what it should
    assert again.held(TALKS[1], "b") == 0


def test_what_has_no_room_on_disk_is_the_least_recently_used(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, disk=10)
    for talk in TALKS:
        bench.keep(talk)
    assert stopped(bench) == 10
    again = started(tmp_path, disk=10)
    assert again.held(TALKS[3]) == len(TALKS[3])
    assert again.held(TALKS[0]) == 0


def test_a_snapshot_of_another_model_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = bench_of(tmp_path)
    bench.keep(TALKS[0])
    stopped(bench)
    with caplog.at_level(logging.WARNING):
        again = started(tmp_path, fingerprint="two")
    assert again.held(TALKS[0]) == 0
    assert "set aside" in caplog.text
    assert not (tmp_path / "tree.npz").exists()
    assert (tmp_path / "tree.rejected").exists()


@pytest.mark.parametrize("damage", ["cut", "noise", "cycle", "slots", "lengths", "missing"])
def test_a_damaged_snapshot_is_set_aside(tmp_path: Path, damage: str) -> None:
    bench = bench_of(tmp_path)
    for talk in TALKS:
        bench.keep(talk)
    stopped(bench)
    path = tmp_path / "tree.npz"
    raw = path.read_bytes()
    if damage == "cut":
        path.write_bytes(raw[: len(raw) // 2])
    elif damage == "noise":
        path.write_bytes(b"PK" + bytes(100))
    else:
        with np.load(path) as arrays:
            saved = {name: arrays[name].copy() for name in arrays.files}
        if damage == "cycle":
            saved["parents"][3] = 5
        elif damage == "slots":
            saved["slots"][1] = saved["slots"][2]
        elif damage == "lengths":
            saved["lengths"][0] = 17
        else:
            del saved["used"]
        with path.open("wb") as file:
            np.savez(file, **saved)
    again = started(tmp_path)
    assert again.held(TALKS[0]) == 0
    assert (tmp_path / "tree.rejected").exists()
    again.keep(TALKS[0])


def test_a_snapshot_older_than_the_pages_gives_misses_and_never_wrong_pages(
    tmp_path: Path,
) -> None:
    bench = bench_of(tmp_path, disk=20)
    for talk in TALKS:
        bench.keep(talk)
    stopped(bench)
    killed = started(tmp_path, disk=20)
    for number in range(10, 16):  # overwrites slots that the snapshot names
        killed.keep(list(range(number * 1000, number * 1000 + 60)))
    assert killed.disk is not None
    killed.disk.close()  # and no snapshot
    again = started(tmp_path, disk=20)
    found = [again.keep([*talk, 5]) for talk in TALKS]  # asserts that what is found is right
    assert min(found) < 30
    assert again.cache.tiers.damaged > 0


def test_a_smaller_disk_leaves_out_what_lies_beyond_it(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, disk=30)
    for talk in TALKS:
        bench.keep(talk)
    stopped(bench)
    again = started(tmp_path, disk=7)
    assert 0 < again.cache.used_pages(2)[GLOBAL] <= 7
    for talk in TALKS:
        again.keep(talk)


def test_only_its_owner_reads_what_people_said(tmp_path: Path) -> None:
    bench = bench_of(tmp_path / "memory")
    bench.keep(TALKS[0])
    stopped(bench)
    assert (tmp_path / "memory").stat().st_mode & 0o077 == 0
    for path in (tmp_path / "memory").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_a_cache_that_held_nothing_is_written_and_read(tmp_path: Path) -> None:
    assert stopped(bench_of(tmp_path)) == 0
    assert started(tmp_path).held(TALKS[0]) == 0
    assert json.loads(bytes(np.load(tmp_path / "tree.npz")["head"]))["version"] == 1
