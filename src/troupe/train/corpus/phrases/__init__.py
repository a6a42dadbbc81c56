"""The phrase banks as files: TOML, read once. Called by everything else in the corpus."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from troupe.train.errors import CorpusError

FOLDER = Path(__file__).parent


@cache
def load(name: str) -> Mapping[str, Any]:
    """A bank by its file's name. Raises `CorpusError`."""
    path = FOLDER / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CorpusError(f"{path}: {error}") from error


def listed(value: Sequence[str] | str) -> tuple[str, ...]:
    """A bank's list: written out, or as one string split at commas."""
    if not isinstance(value, str):
        return tuple(value)
    return tuple(item.strip() for item in value.split(", "))


@cache
def words(section: str, key: str) -> tuple[str, ...]:
    """A list of the bank of words."""
    return listed(load("words")[section][key])
