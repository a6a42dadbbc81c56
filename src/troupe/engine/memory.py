"""A model's memory of keys and values, as the options ask for it: arena, pages, tiers, snapshot.

Built by the worker, and used from its thread alone, but for `cache.find` and `cache.estimate`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

from troupe.engine.config import ModelConfig
from troupe.engine.kv import KVCache, Layout, Lease, audit, snapshot
from troupe.engine.kv.layout import groups_of, is_split, slack_of
from troupe.engine.kv.stores import DiskStore, HostStore, Store
from troupe.engine.metrics import Metrics
from troupe.engine.steps import PAGE, SCRATCH_PAGE, AnyBackend, Arena
from troupe.engine.types import EngineOptions

log = logging.getLogger(__name__)

_IDLE_S = 10.0
_GROUPS = ("global", "local")
_SAMPLES, _SAMPLE = 16, 4096  # pieces of a weights file that its fingerprint reads, and their size


def layout_of(config: ModelConfig, context: int, backend: AnyBackend) -> Layout:
    """The pages of a model whose longest sequence is `context` tokens."""
    groups = groups_of(config, context)
    sizes = tuple(PAGE * backend.token_bytes(config, layers) for layers in groups)
    window = config.sliding_window if is_split(config, context) else None
    return Layout(sizes, window, 0 if window is None else slack_of(window), context)


class Memory:
    """`cache` says which pages of `arena` hold what."""

    def __init__(
        self,
        folder: Path,
        config: ModelConfig,
        context: int,
        backend: AnyBackend,
        options: EngineOptions,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._layout = layout = layout_of(config, context, backend)
        self._counts = layout.split(options.kv_bytes, layout.least)
        self.arena: Arena = backend.arena(config, *(1 + count for count in self._counts))
        self._snapshot: Path | None = None
        self._disk: DiskStore | None = None
        self._fingerprint = ""
        self._audited = True
        self._counted: dict[int, tuple[int, ...]] = {}  # pages of each tier, as last told
        farther: list[tuple[str, Store, Sequence[int]]] = []
        if options.host_kv_bytes:
            slots = layout.split(options.host_kv_bytes)
            farther.append(("host", HostStore(slots, layout.page_bytes), slots))
        if options.disk_kv_bytes and options.kv_dir is not None:
            self._fingerprint = _fingerprint(folder, config, backend, layout)
            self._disk = self._open(options.kv_dir)
        if self._disk is not None and options.kv_dir is not None:
            self._snapshot = options.kv_dir / "tree.npz"
            farther.append(("disk", self._disk, layout.split(options.disk_kv_bytes)))
        self.cache = KVCache(self.arena, layout, farther)
        limit = sum(n * b for n, b in zip(self._counts, layout.page_bytes, strict=True))
        metrics.kv_limit_bytes.set(limit)

    def restore(self) -> None:
        """Take up what an earlier process kept on disk."""
        if self._snapshot is None:
            return
        try:
            pages = snapshot.load(self.cache, self._snapshot, self._fingerprint)
        except OSError as error:
            log.warning("kept prefixes cannot be taken up", extra={"why": str(error)})
            return
        log.info("kept prefixes taken up", extra={"pages": pages})

    def close(self, keep: bool) -> None:
        """Let another process use the folder on disk; with `keep`, once all that is kept has been
        written there, as far as there is room. No lease may live. Never raises: a memory that is
        lost is computed again."""
        if self._disk is None or self._snapshot is None:
            return
        started = time.monotonic()
        try:
            pages = snapshot.save(self.cache, self._snapshot, self._fingerprint) if keep else 0
        except Exception:
            log.exception("kept prefixes could not be written down")
        else:
            seconds = round(time.monotonic() - started, 3)
            log.info("kept prefixes written down", extra={"pages": pages, "seconds": seconds})
        self._disk.close()

    @property
    def audit_after_s(self) -> float | None:
        """Seconds of idleness after which the books are to be checked; None if they have been."""
        return None if self._audited else _IDLE_S

    def audit(self, wanted: Callable[[], bool]) -> None:
        """Check the books, unless the engine is `wanted` meanwhile. Raises `AssertionError`: then
        answers might be wrong, and the engine must not go on."""
        for _ in audit(self.cache):
            if wanted():
                return
        self._audited = True

    def copy_tail(self, source: Lease, target: Lease, end: int) -> bool:
        """Copy the page that token `end - 1` lies on, up to there, from one sequence to another
        that begins alike. False if one of them has no such page and can have none."""
        index = (end - 1) // PAGE
        if not self.cache.grow(target, end - 1, end):
            return False
        pairs = [
            (a[index], b[index])
            for a, b in zip(source.tables, target.tables, strict=True)
            if index < min(len(a), len(b))
        ]
        if len(pairs) < len(target.tables) or any(SCRATCH_PAGE in pair for pair in pairs):
            return False
        for group, (a, b) in enumerate(pairs):
            self.arena.copy(a, b, end - index * PAGE, group)
        return True

    def count(self) -> None:
        """Set the gauges. Called at each step, so it does nothing where nothing changed."""
        cache = self.cache
        self._audited = False
        for level, tier in enumerate(cache.tiers.levels):
            used = cache.used_pages(level)
            if self._counted.get(level) == used:
                continue
            self._counted[level] = used
            for name, pages in zip(_GROUPS, used, strict=False):
                self._metrics.kv_pages.labels(tier.name, name).set(pages)
            if level == 0:
                sizes = self._layout.page_bytes
                self._metrics.kv_bytes.set(sum(n * b for n, b in zip(used, sizes, strict=True)))
        if cache.tiers.damaged:
            self._metrics.kv_damaged_pages.inc(cache.tiers.damaged)
            cache.tiers.damaged = 0

    def _open(self, folder: Path) -> DiskStore | None:
        key = bytes.fromhex(self._fingerprint)
        try:
            return DiskStore(folder, self._layout.page_bytes, key)
        except OSError as error:
            log.warning(
                "nothing is kept on disk: the folder cannot be used, or another engine uses it",
                extra={"path": str(folder), "why": str(error)},
            )
            return None


def _fingerprint(folder: Path, config: ModelConfig, backend: AnyBackend, layout: Layout) -> str:
    """32 hexadecimal digits that differ wherever kept numbers might: by weights (sizes, times and
    samples of the files), shape, backend and its version, and layout of pages."""
    parts = [repr(config), backend.name, backend.version(), str(PAGE)]
    parts.append(json.dumps([layout.page_bytes, layout.window]))
    digest = blake2b("\n".join(parts).encode(), digest_size=16)
    for path in sorted(folder.glob("*.safetensors")):
        stat = path.stat()
        digest.update(f"\n{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        with path.open("rb") as file:
            for i in range(_SAMPLES):
                file.seek(stat.st_size * i // _SAMPLES)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
