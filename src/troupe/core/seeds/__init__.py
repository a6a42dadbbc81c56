"""The characters that a new Troupe begins with: TOML texts and portraits, read from this folder.

The portraits are drawn by scripts/portraits.py.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from troupe.core.cards import Card

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Seed:
    """A character to begin with, and its portrait (WebP)."""

    slug: str
    card: Card
    portrait: bytes


def load(folder: Path = FOLDER) -> list[Seed]:
    """Every seed, in order of its slug. Raises `KeyError` if one lacks a field."""
    return [_read(path, folder) for path in sorted((folder / "characters").glob("*.toml"))]


def _read(path: Path, folder: Path) -> Seed:
    text = tomllib.loads(path.read_text(encoding="utf-8"))
    card = Card(
        name=text["name"],
        tagline=text["tagline"],
        description=text["description"],
        greeting=text["greeting"],
        alternate_greetings=tuple(text["alternate_greetings"]),
        definition=text["definition"].strip(),
        example_dialogues=text["example_dialogues"].strip(),
        tags=tuple(text["tags"]),
        creator="Troupe",
    )
    return Seed(path.stem, card, (folder / "avatars" / f"{path.stem}.webp").read_bytes())
