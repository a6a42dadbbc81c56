"""Where pages lie in each tier, as bytes: the device's arena, the host's memory, a file on disk.

A store moves pages in batches and knows nothing of tokens. What is on disk may be damaged, or be
what another process left there: each slot has a checksum over its bytes and over the tag of the
prefix that it belongs to, and a page that does not fit is reported, never used. Called by
`tiers.py`.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from troupe.engine.steps import Arena, Bytes

log = logging.getLogger(__name__)

_SUM = 8  # bytes of a slot's checksum


class Store(Protocol):
    """Slots of pages, for each group of layers. Tags are prefix hashes, one a slot."""

    def read(
        self, group: int, slots: Sequence[int], tags: Sequence[bytes]
    ) -> tuple[Bytes, set[int]]:
        """The bytes `(slots, page_bytes[group])`, and which of them (by order) are unusable."""
        ...

    def write(self, group: int, slots: Sequence[int], tags: Sequence[bytes], data: Bytes) -> None:
        """Store one row of `data` in each slot."""
        ...


class DeviceStore:
    """The arena that steps read and write."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena

    def read(
        self,
        group: int,
        slots: Sequence[int],
        tags: Sequence[bytes],  # noqa: ARG002
    ) -> tuple[Bytes, set[int]]:
        return self.arena.read(group, slots), set()

    def write(self, group: int, slots: Sequence[int], tags: Sequence[bytes], data: Bytes) -> None:  # noqa: ARG002
        self.arena.write(group, slots, data)


class HostStore:
    """Memory beside the arena, taken from the system as it is touched."""

    def __init__(self, counts: Sequence[int], page_bytes: Sequence[int]) -> None:
        self._memory = [
            np.frombuffer(mmap.mmap(-1, max(1, count * size)), np.uint8)[: count * size].reshape(
                count, size
            )
            for count, size in zip(counts, page_bytes, strict=True)
        ]

    def read(
        self,
        group: int,
        slots: Sequence[int],
        tags: Sequence[bytes],  # noqa: ARG002
    ) -> tuple[Bytes, set[int]]:
        return self._memory[group][np.array(slots, np.int64)], set()

    def write(self, group: int, slots: Sequence[int], tags: Sequence[bytes], data: Bytes) -> None:  # noqa: ARG002
        self._memory[group][np.array(slots, np.int64)] = data


class DiskStore:
    """One file of fixed slots for each group, in a folder that one process uses at a time.

    A slot is a checksum (BLAKE2b, 8 bytes, keyed by the model and the tag) and a page. Files are
    not synced: what a power cut leaves half written does not fit its checksum.
    """

    def __init__(self, folder: Path, page_bytes: Sequence[int], key: bytes = b"") -> None:
        """`key`: what else pages must have been written under, up to 32 bytes: the model's
        fingerprint. Raises `OSError` if the folder cannot be written, or another process uses
        it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._page_bytes = tuple(page_bytes)
        self._key = key
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise
        self._files = [
            os.open(folder / f"pages-{group}.bin", os.O_RDWR | os.O_CREAT, 0o600)
            for group in range(len(page_bytes))
        ]
        self.failed_writes = 0

    def close(self) -> None:
        for file in [*self._files, self._lock]:
            os.close(file)
        self._files = []

    def read(
        self, group: int, slots: Sequence[int], tags: Sequence[bytes]
    ) -> tuple[Bytes, set[int]]:
        size = self._page_bytes[group]
        data = np.zeros((len(slots), size), np.uint8)
        bad: set[int] = set()
        for first, count in _runs(slots):
            stride = _SUM + size
            try:
                raw = os.pread(self._files[group], count * stride, slots[first] * stride)
            except OSError as error:
                log.warning("kept pages cannot be read from disk", extra={"why": str(error)})
                raw = b""
            for i in range(count):
                slot = raw[i * stride : (i + 1) * stride]
                page = slot[_SUM:]
                if (
                    len(page) == size
                    and _checksum(page, self._key + tags[first + i]) == slot[:_SUM]
                ):
                    data[first + i] = np.frombuffer(page, np.uint8)
                else:
                    bad.add(first + i)
        return data, bad

    def write(self, group: int, slots: Sequence[int], tags: Sequence[bytes], data: Bytes) -> None:
        """A write that fails leaves slots whose checksums do not fit: later reads say so."""
        for first, count in _runs(slots):
            pieces = bytearray()
            for i in range(first, first + count):
                page = data[i].tobytes()
                pieces += _checksum(page, self._key + tags[i]) + page
            offset = slots[first] * (_SUM + self._page_bytes[group])
            try:
                _write_all(self._files[group], pieces, offset)
            except OSError as error:
                self.failed_writes += count
                log.warning("pages cannot be kept on disk", extra={"why": str(error)})


def _write_all(file: int, data: bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count


def _checksum(page: bytes, key: bytes) -> bytes:
    return blake2b(page, digest_size=_SUM, key=key).digest()


def _runs(slots: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches `(first, count)` of the list whose slots follow one another."""
    runs: list[tuple[int, int]] = []
    for index, slot in enumerate(slots):
        if runs and slot == slots[index - 1] + 1:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
