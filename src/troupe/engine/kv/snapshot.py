"""What is kept, written down when an engine stops and taken up when it starts again.

The pages themselves are in the disk tier's files; this is the tree, in one file that is replaced
whole. A snapshot belongs to one model, backend and layout of pages: one that does not fit is set
aside, and the engine starts with nothing. One that is older than the pages does no harm: each page
has a checksum that its prefix goes into, so what was overwritten since is a miss. Called by
`memory.py`.
"""

from __future__ import annotations

import json
import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from troupe.engine.kv.cache import KVCache
from troupe.engine.kv.tree import NONE, Node, Tokens
from troupe.engine.steps import GLOBAL, PAGE

log = logging.getLogger(__name__)

_VERSION = 1
_ROOT = -1


def save(cache: KVCache, path: Path, fingerprint: str) -> int:
    """Move everything to the last tier, as far as it has room, and write the tree to `path`. No
    lease may live. Returns how many pages it names. Raises `OSError`."""
    cache.tiers.flush()
    nodes = list(cache.tree.nodes())
    order = {node: index for index, node in enumerate(nodes)}
    salts = sorted({node.salt for node in nodes})
    tenant = {salt: index for index, salt in enumerate(salts)}
    parents = [order.get(node.parent, _ROOT) if node.parent else _ROOT for node in nodes]
    arrays: dict[str, Any] = {
        "parents": np.array(parents, np.int32),
        "salts": np.array([tenant[node.salt] for node in nodes], np.int32),
        "lengths": np.array([len(node.tokens) for node in nodes], np.int32),
        "tokens": np.array([token for node in nodes for token in node.tokens], np.int32),
        "slots": np.array([node.slots for node in nodes], np.int32).reshape(
            len(nodes), cache.tiers.groups
        ),
        "used": np.array([node.used for node in nodes], np.int64),
    }
    head = {"version": _VERSION, "fingerprint": fingerprint, "salts": salts}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)  # it holds what people said
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return len(nodes)


def load(cache: KVCache, path: Path, fingerprint: str) -> int:
    """Take up what `save` wrote, into an empty cache whose last tier has the same files. Returns
    how many pages are held; 0 where there is no snapshot, or none that fits."""
    if not path.exists():
        return 0
    try:
        with np.load(path, allow_pickle=False) as arrays:
            saved = {name: arrays[name] for name in arrays.files}
        head = json.loads(bytes(saved["head"]))
        if (head["version"], head["fingerprint"]) != (_VERSION, fingerprint):
            raise ValueError("it was made by another model, backend or layout of pages")
        pieces = _checked(saved, len(head["salts"]), cache.tiers.groups)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        aside = path.with_suffix(".rejected")
        path.replace(aside)
        log.warning(
            "a snapshot of kept prefixes does not fit and is set aside",
            extra={"path": str(aside), "why": str(error)},
        )
        return 0
    return _restore(cache, saved, head["salts"], pieces)


def _checked(saved: dict[str, NDArray[Any]], salts: int, groups: int) -> list[Tokens]:
    """Each node's tokens. Raises `ValueError` for arrays that describe no tree."""
    parents, lengths, slots = saved["parents"], saved["lengths"], saved["slots"]
    count = len(parents)
    ends = np.cumsum(lengths)
    rules = [
        all(len(saved[name]) == count for name in ("salts", "lengths", "slots", "used")),
        slots.shape == (count, groups),
        bool(np.all((parents >= _ROOT) & (parents < np.arange(count)))),
        bool(np.all((lengths >= 1) & (lengths <= PAGE))),
        bool(np.all(lengths[parents[parents >= 0]] == PAGE)),
        bool(np.all((saved["salts"] >= 0) & (saved["salts"] < salts))),
        bool(np.all(slots >= NONE)) and bool(np.all(slots[:, GLOBAL] >= 0)),
        len(saved["tokens"]) == (int(ends[-1]) if count else 0),
    ]
    for group in range(groups if all(rules) else 0):
        held = slots[:, group][slots[:, group] != NONE]
        rules.append(len(np.unique(held)) == len(held))
    if not all(rules):
        raise ValueError("it is damaged")
    tokens = saved["tokens"].tolist()
    return [tuple(tokens[end - n : end]) for end, n in zip(ends, lengths, strict=True)]


def _restore(
    cache: KVCache, saved: dict[str, NDArray[Any]], salts: list[str], pieces: list[Tokens]
) -> int:
    """Build the tree. What lies in slots that the tier no longer has is left out, with all that
    follows it."""
    level = len(cache.tiers.levels) - 1
    pool = cache.tiers.levels[level].pool
    made: list[Node | None] = []
    taken: list[set[int]] = [set() for _ in pool.counts]
    rows = zip(
        pieces,
        saved["parents"].tolist(),
        saved["salts"].tolist(),
        saved["slots"].tolist(),
        saved["used"].tolist(),
        strict=True,
    )
    for piece, parent, tenant, slots, used in rows:
        above = cache.tree.root(salts[tenant]) if parent == _ROOT else made[parent]
        fits = all(slot < count for slot, count in zip(slots, pool.counts, strict=True))
        if above is None or not fits or above.child(piece) is not None:
            made.append(None)
            continue
        node = cache.tree.insert(above, piece, slots, used)
        cache.tree.move(node, level)
        made.append(node)
        for group, slot in enumerate(slots):
            if slot != NONE:
                taken[group].add(slot)
    pool.claim(taken)
    held = [node for node in made if node is not None]
    for node in held:
        cache.tiers.offer(node)
    cache.resume_clock(max((node.used for node in held), default=0))
    return len(held)
