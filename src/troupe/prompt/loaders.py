"""Where a template's text and the files that it includes come from: a folder, a package, strings.

With `platform.py` the only places that read a file; `Template` knows loaders as functions alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from troupe.prompt.errors import LimitExceeded, TemplateError
from troupe.prompt.includes import Loader

MAX_BYTES = 1_000_000


def strings(texts: Mapping[str, str]) -> Loader:
    """Texts by name."""
    return dict(texts).get


def folder(path: str | Path) -> Loader:
    """Files below a folder, by their path within it. A name that leads out of it, also by a link,
    is no file."""
    root = Path(path).resolve()

    def load(name: str) -> str | None:
        if not _steps(name):
            return None
        found = (root / name).resolve()
        return _text(found, name) if found.is_relative_to(root) and found.is_file() else None

    return load


def package(name: str, within: str = "") -> Loader:
    """Files of an installed package, below its folder `within`. Raises `ModuleNotFoundError`."""
    root = files(name)
    for step in _steps(within):
        root = root / step

    def load(path: str) -> str | None:
        found = root
        for step in _steps(path):
            found = found / step
        return _text(found, path) if found.is_file() else None

    return load


def _steps(name: str) -> list[str]:
    """The steps of a path, or none if one of them leads out."""
    steps = name.split("/")
    inside = all(
        step not in ("", ".", "..") and "\\" not in step and ":" not in step for step in steps
    )
    return steps if inside and "\0" not in name else []


def _text(file: Path | Traversable, name: str) -> str:
    with file.open("rb") as opened:
        raw = opened.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise LimitExceeded(f"the file is over {MAX_BYTES} bytes", name)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise TemplateError(f"the file is not UTF-8 at byte {error.start}", name) from error
