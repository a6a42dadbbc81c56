"""Models on this machine: which there are, by what names, and whether the engine can serve them.

A model is a Hugging Face folder. Those that came with Troupe lie in the package; those that a
person added or downloaded lie under the home folder, each in a folder of its name or behind a link
of its name. Called by `troupe models` and `troupe doctor`; the engine's own rules decide, and it is
imported only when a folder is looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from troupe.ops.errors import ModelError
from troupe.ops.home import Home
from troupe.settings import MODELS, Settings

if TYPE_CHECKING:
    from troupe.engine.config import ModelConfig

_NEEDED = ("config.json", "tokenizer.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's config says of it."""

    family: str
    parameters: int
    context: int
    bytes: int  # of weights on disk
    backend: str  # what would compute it: `native` or `eager`


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder and whether it is fit to serve."""

    folder: Path
    fit: bool
    said: str
    remedy: str = ""
    shape: Shape | None = None

    @property
    def name(self) -> str:
        """The name under which it is served."""
        return self.folder.absolute().name


def folder_of(settings: Settings) -> Path:
    """Where models that are added or downloaded lie."""
    return settings.root / "models"


def known(settings: Settings) -> list[Model]:
    """The models under the home folder, those that came with Troupe, and the one that is set."""
    added = sorted(p for p in folder_of(settings).glob("*") if _NAME.fullmatch(p.name))
    shipped = sorted(path.parent for path in MODELS.glob("*/config.json"))
    seen: dict[Path, Path] = {}
    for folder in (*added, *shipped, settings.model_folder):
        seen.setdefault(folder.resolve(), folder)
    return [look_at(folder) for folder in seen.values()]


def find(settings: Settings, given: str | None) -> Path:
    """The folder of a model given by name or path; that of the one that is set if none is given."""
    if given is None:
        return settings.model_folder
    return settings.model_copy(update={"model_dir": Path(given)}).model_folder


def look_at(folder: Path) -> Model:
    """Whether the engine can serve this folder: all files are there, can be read and fit."""
    folder = folder.expanduser()
    another = "Set TROUPE_MODEL_DIR to a Hugging Face folder of a family that the engine serves"
    if not folder.is_dir():
        return Model(folder, False, f"{folder} is not there", another)
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        return Model(folder, False, f"{folder} lacks {', '.join(missing)}", another)
    try:
        from troupe.engine.config import ModelConfig
        from troupe.engine.errors import EngineError
        from troupe.engine.text import Vocabulary
        from troupe.engine.weights import Weights
    except ModuleNotFoundError as error:
        remedy = "Install the engine with `pip install troupe[engine]`"
        return Model(folder, False, f"the engine lacks the package {error.name}", remedy)
    try:
        config = ModelConfig.load(folder)
        weights = Weights(folder)
        weights.check(config)
        Vocabulary.load(folder)
        shape = _shape(config, weights.bytes)
    except (EngineError, OSError) as error:
        return Model(folder, False, f"{folder}: {error}", another)
    layers = f"{config.num_hidden_layers} layers, vocabulary {config.vocab_size}"
    size = f"{weights.bytes / 2**20:.0f} MB"
    return Model(folder, True, f"{folder} ({layers}, {size})", shape=shape)


def _shape(config: ModelConfig, size: int) -> Shape:
    from troupe.engine.backends import choose
    from troupe.engine.weights import parameters

    backend = choose("auto", config).name
    context = config.max_position_embeddings
    return Shape(config.family, parameters(config), context, size, backend)


def check_name(settings: Settings, name: str) -> None:
    """Raises `ModelError` if a model cannot be called so."""
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be a model's name",
            "Use letters, digits, dots, dashes and underscores, 96 at most",
        )
    for folder in (folder_of(settings), MODELS):
        if os.path.lexists(folder / name):
            raise ModelError(
                f"there is a model {name} already, at {folder / name}",
                f"Choose another name, or remove it with `troupe models remove {name}`",
            )


def add(settings: Settings, folder: Path, name: str | None = None, copy: bool = False) -> Model:
    """Give a folder a name, by a link to it or by a copy of it. Raises `ModelError` if the engine
    cannot serve it, or the name is taken."""
    folder = folder.expanduser().resolve()
    found = look_at(folder)
    if not found.fit:
        raise ModelError(found.said, found.remedy)
    name = name or folder.name
    check_name(settings, name)
    target = folder_of(settings) / name
    # Made under another name and moved, so that half a copy is never a model.
    draft = target.with_name(f".{name}.{uuid.uuid4().hex}")
    try:
        make_folder(settings)
        if copy:
            room = shutil.disk_usage(target.parent).free
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            if size > room:
                raise ModelError(
                    f"a copy of {folder} takes {size / 1e9:.1f} GB, and {target.parent} has "
                    f"{room / 1e9:.1f} GB left",
                    "Make room, or add it without --copy",
                )
            draft.mkdir()
            for path in sorted(folder.iterdir()):
                if path.is_file():
                    shutil.copyfile(path, draft / path.name)
        else:
            draft.symlink_to(folder, target_is_directory=True)
        draft.rename(target)
    except OSError as error:
        raise ModelError(f"{target} cannot be made: {error}", "Check TROUPE_HOME") from error
    finally:
        delete(draft)
    return look_at(target)


def make_folder(settings: Settings) -> Path:
    """Make the folder of models where it is not there yet. Raises `HomeError`, `OSError`."""
    Home(settings.root).make()
    folder = folder_of(settings)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def remove(settings: Settings, name: str) -> Path:
    """Forget a model that was added or downloaded: a link goes, a folder goes with all that is in
    it, and what the engine packed of it. Returns where it was. Raises `ModelError`."""
    target = folder_of(settings) / name
    if not _NAME.fullmatch(name) or not os.path.lexists(target):
        known_names = ", ".join(sorted(p.name for p in folder_of(settings).glob("[!.]*"))) or "none"
        raise ModelError(
            f"there is no model {name} under {folder_of(settings)}", f"There are: {known_names}"
        )
    try:
        _forget_packed(settings, target)
        delete(target)
    except OSError as error:
        raise ModelError(f"{target} cannot be removed: {error}") from error
    return target


def _forget_packed(settings: Settings, folder: Path) -> None:
    """Delete what the engine packed of a model. Raises `OSError`."""
    from troupe.engine.errors import CheckpointError
    from troupe.engine.native.packfile import PackCache, forget

    try:
        forget(folder, PackCache(settings.pack_folder))
    except CheckpointError:
        return  # of what cannot be read, nothing was packed


def delete(path: Path) -> None:
    """Delete a link, or a folder with what is in it; nothing if there is neither."""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
