"""How much of a stranger's file is looked at."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes. `file` bounds the upload, `json` the card's text after any decompression,
    `unpacked` all entries of a CHARX together."""

    file: int = 20 * MB
    json: int = 4 * MB
    depth: int = 64
    chunks: int = 10_000
    entries: int = 1_000
    unpacked: int = 64 * MB
    image: int = 20 * MB
    items: int = 10_000


DEFAULT = Limits()
