"""Packed weights kept on disk, so that a model is packed once and then mapped into memory.

A file lies beside the model, or, where that folder cannot be written, in a folder of files like it.
It is read as it lies: a second start reads nothing that it does not use, and processes that serve
one model share its memory. Its key is made of the weights' files and of how they are packed, so a
model that changed, or another layout, is packed anew. A file has its name only when it is whole.

    offset 0      eight bytes `TROUPEI8`, then the key (64 hexadecimal digits)
    offset 4096   the plan's arrays, in its order, each at a multiple of 64

Called by `model.py` when it loads a folder; `troupe models remove` forgets.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import math
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from troupe.engine.config import ModelConfig
from troupe.engine.native.pack import LAYOUT
from troupe.engine.native.packing import PackedModel, Plan, fill, plan
from troupe.engine.weights import Weights

log = logging.getLogger(__name__)

BESIDE = ".troupe.int8"  # in the model's folder
SUFFIX = ".int8"  # in the folder for others
_MAGIC = b"TROUPEI8"
_HEADER = 4096
_ALIGN = 64
_SAMPLES, _SAMPLE = 64, 4096  # of each file: places, bytes
_SPARE = 2**30  # bytes of disk that are left free


@dataclass(frozen=True, slots=True)
class PackCache:
    """Where packed weights are kept, and how much of them."""

    folder: Path | None = None  # for models whose own folder cannot be written
    limit: int = 64 * 2**30  # bytes of that folder, and of one file; 0 keeps none
    least: int = 64 * 2**20  # bytes; what is smaller is packed in less than a second anyway


def packed(
    folder: Path, config: ModelConfig, weights: Weights, cache: PackCache | None
) -> PackedModel:
    """A model's packed weights: mapped from a file where there is one, else packed now, and kept if
    `cache` says so and the disk allows it."""
    planned = plan(config)
    size = _places(planned)[1]
    if cache is None or not cache.least <= size <= cache.limit:
        return PackedModel.in_memory(config, weights)
    key = fingerprint(planned, weights)
    for path in _paths(folder, cache, key):
        found = _mapped(path, planned, key)
        if found is None:
            try:
                found = _made(path, planned, key, weights, cache)
            except OSError as error:
                log.info("packed weights are not kept there", extra={
                    "path": str(path), "why": str(error)})  # fmt: skip
        if found is not None:
            return found
    return PackedModel.in_memory(config, weights)


def forget(folder: Path, cache: PackCache) -> None:
    """Delete what is kept of a model. Raises `CheckpointError`, `OSError`."""
    (folder / BESIDE).unlink(missing_ok=True)
    if cache.folder is not None and cache.folder.is_dir():
        config = ModelConfig.load(folder)
        key = fingerprint(plan(config), Weights(folder))
        _in_folder(cache.folder, key).unlink(missing_ok=True)


def fingerprint(plan: Plan, weights: Weights) -> str:
    """64 hexadecimal digits of how weights are packed, and of their files: names, sizes, times of
    change, headers, and samples of the numbers (all of them would take as long as packing)."""
    digest = hashlib.sha256(f"{LAYOUT} {plan!r}".encode())
    for path in weights.files:
        status = path.stat()
        digest.update(f"\n{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
        with path.open("rb") as file:
            head = file.read(8)
            digest.update(head + file.read(int.from_bytes(head, "little")))
            for place in range(_SAMPLES):
                file.seek(status.st_size * place // _SAMPLES)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _paths(folder: Path, cache: PackCache, key: str) -> list[Path]:
    """Where a model's file may lie, best first."""
    beside = [folder / BESIDE]
    return beside if cache.folder is None else [*beside, _in_folder(cache.folder, key)]


def _in_folder(folder: Path, key: str) -> Path:
    return folder / f"{key[:32]}{SUFFIX}"


def _places(plan: Plan) -> tuple[dict[str, tuple[str, tuple[int, ...], int]], int]:
    """Each array's dtype, shape and offset in the file, and the file's size."""
    found, offset = {}, _HEADER
    for name, (kind, shape) in plan.arrays().items():
        found[name] = (kind, shape, offset)
        offset += -(-math.prod(shape) * np.dtype(kind).itemsize // _ALIGN) * _ALIGN
    return found, offset


def _views(memory: mmap.mmap, plan: Plan) -> dict[str, NDArray[Any]]:
    return {
        name: np.frombuffer(memory, kind, math.prod(shape), offset).reshape(shape)
        for name, (kind, shape, offset) in _places(plan)[0].items()
    }


def _mapped(path: Path, plan: Plan, key: str) -> PackedModel | None:
    """The file's arrays, if it is there and holds what is wanted."""
    try:
        with path.open("rb") as file:
            head, size = file.read(len(_MAGIC) + len(key)), os.fstat(file.fileno()).st_size
            if head != _MAGIC + key.encode() or size != _places(plan)[1]:
                return None
            memory = mmap.mmap(file.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ)
        os.utime(path)  # the least recently used goes first
    except OSError:
        return None
    memory.madvise(mmap.MADV_WILLNEED)
    return PackedModel(plan, _views(memory, plan))


def _made(
    path: Path, plan: Plan, key: str, weights: Weights, cache: PackCache
) -> PackedModel | None:
    """Pack into a new file, unless another process did meanwhile. Raises `OSError`."""
    size = _places(plan)[1]
    if path.name != BESIDE:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    with _alone(path.parent):
        found = _mapped(path, plan, key)
        if found is not None:
            return found
        if path.name != BESIDE:
            _make_room(path.parent, size, cache.limit)
        if shutil.disk_usage(path.parent).free < size + _SPARE:
            raise OSError(f"the disk of {path.parent} has no room for {size} bytes")
        try:
            with draft.open("w+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
                memory = mmap.mmap(file.fileno(), size)
                memory[: len(_MAGIC) + len(key)] = _MAGIC + key.encode()
                fill(plan, weights, _views(memory, plan))
                memory.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    log.info("packed weights are kept", extra={"path": str(path), "bytes": size})
    return _mapped(path, plan, key)


def _make_room(folder: Path, size: int, limit: int) -> None:
    """Delete the least recently used files until one of `size` bytes fits the limit."""
    files = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    while files and total + size > limit:
        oldest = files.pop(0)
        total -= oldest.stat().st_size
        oldest.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process packs in this folder; the kernel frees the lock of a dead one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
