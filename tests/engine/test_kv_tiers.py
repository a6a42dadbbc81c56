"""Tiers: what leaves the device is found in the host's memory, then on disk, and comes back."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.engine.memory import Bench
from troupe.engine.kv import check
from troupe.engine.kv.stores import DiskStore
from troupe.engine.steps import GLOBAL, PAGE


def talk(number: int, length: int = 64) -> list[int]:
    return [1000 * number + i for i in range(length)]


def test_what_leaves_the_device_is_found_in_the_host_s_memory() -> None:
    bench = Bench(6, host=20)
    bench.keep(talk(1))
    bench.keep(talk(2))  # the first two pages of talk 1 stay on the device
    assert bench.held(talk(1)) == 64
    lease = bench.begin([*talk(1), 7])
    assert lease is not None
    assert lease.cached_by_tier == {"device": 32, "host": 32}
    bench.cache.release(lease, talk(1), 64)
    check(bench.cache)


def test_what_leaves_the_host_is_found_on_disk(tmp_path: Path) -> None:
    bench = Bench(4, host=4, disk=12, folder=tmp_path)
    for number in range(1, 5):
        bench.keep(talk(number))
    assert [bench.cache.used_pages(level)[GLOBAL] for level in range(3)] == [4, 4, 8]
    lease = bench.begin(talk(1))
    assert lease is not None
    assert lease.cached_by_tier == {"disk": 63}
    bench.cache.release(lease, talk(1), 63)
    for number in (2, 3, 4, 1):
        assert bench.keep(talk(number)) == 63


def test_what_leaves_the_last_tier_is_forgotten_oldest_first(tmp_path: Path) -> None:
    bench = Bench(4, host=4, disk=4, folder=tmp_path)
    for number in range(1, 5):
        bench.keep(talk(number))
    assert bench.held(talk(1)) == 0
    assert [bench.held(talk(number)) for number in (2, 3, 4)] == [64] * 3


def test_a_page_is_never_nearer_than_the_one_before_it() -> None:
    bench = Bench(8, host=40)
    bench.keep(talk(1))
    bench.keep([*talk(1)[:32], *talk(2)])
    bench.keep(talk(3))
    bench.keep(talk(4))
    check(bench.cache)  # asserts it
    assert bench.keep([*talk(1)[:32], *talk(2), 5]) == 96


def test_without_a_host_tier_pages_go_straight_to_disk(tmp_path: Path) -> None:
    bench = Bench(4, disk=12, folder=tmp_path)
    bench.keep(talk(1))
    bench.keep(talk(2))
    assert bench.keep(talk(1)) == 63


def test_a_part_of_a_page_is_copied_out_of_a_farther_tier() -> None:
    bench = Bench(4, host=12)
    bench.keep(talk(1, 60))
    bench.keep(talk(2))
    assert bench.keep([*talk(1)[:55], 5, 6]) == 55


def test_both_groups_move_together() -> None:
    bench = Bench(8, 6, window=24, slack=8, host=40)
    for number in range(1, 5):
        bench.keep(talk(number, 100))
    for number in range(1, 5):
        assert bench.keep([*talk(number, 100), 5]) == 100


@pytest.mark.parametrize("group", [0, 1])
def test_a_damaged_page_on_disk_is_a_miss_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, group: int
) -> None:
    bench = Bench(8, 8, window=40, slack=8, disk=30, folder=tmp_path)
    bench.keep(talk(1, 100))
    bench.keep(talk(2, 100))
    file = tmp_path / f"pages-{group}.bin"
    raw = bytearray(file.read_bytes())
    middle = len(raw) // 2
    raw[middle] ^= 1
    file.write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        found = bench.keep([*talk(1, 100), 5])
    assert found < 100
    assert bench.cache.tiers.damaged == 1
    assert "damaged" in caplog.text
    assert bench.keep([*talk(1, 100), 6]) == 100


def test_a_disk_that_lost_everything_is_a_miss(tmp_path: Path) -> None:
    bench = Bench(4, disk=12, folder=tmp_path)
    bench.keep(talk(1))
    bench.keep(talk(2))
    (tmp_path / "pages-0.bin").write_bytes(b"")
    assert bench.keep(talk(1)) == 0
    check(bench.cache)


def test_a_disk_that_is_full_loses_pages_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    bench = Bench(4, disk=12, folder=tmp_path)
    bench.keep(talk(1))
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        bench.keep(talk(2))
    assert bench.disk is not None
    assert bench.disk.failed_writes == 4
    assert bench.keep(talk(1)) == 0
    assert bench.keep(talk(2)) == 63


def test_a_stale_page_of_another_prefix_is_not_taken_for_this_one(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, (PAGE,))
    data = bench_bytes(3)
    store.write(0, [0, 1, 5], [b"a", b"b", b"c"], data)
    read, bad = store.read(0, [0, 1, 5], [b"a", b"x", b"c"])
    assert bad == {1}
    assert (read[[0, 2]] == data[[0, 2]]).all()
    store.close()


def bench_bytes(count: int):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.arange(count * PAGE, dtype=np.uint8).reshape(count, PAGE)


def test_one_process_uses_a_folder_at_a_time(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, (PAGE,))
    with pytest.raises(OSError, match="unavailable"):
        DiskStore(tmp_path, (PAGE,))
    store.close()
    DiskStore(tmp_path, (PAGE,)).close()
