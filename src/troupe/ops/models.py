"""Model folders: which there are, and whether the engine can serve one.

Called by `troupe models` and `troupe doctor`. The engine's own rules decide; it is imported only
when a folder is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from troupe.settings import MODELS, Settings

_NEEDED = ("config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder and whether it is fit to serve."""

    folder: Path
    fit: bool
    said: str
    remedy: str = ""

    @property
    def name(self) -> str:
        """The name under which it is served."""
        return self.folder.name


def known(settings: Settings) -> list[Model]:
    """The models that came with Troupe, and the one that is set."""
    shipped = sorted(path.parent for path in MODELS.glob("*/config.json"))
    chosen = settings.model_dir.expanduser().resolve()
    folders = list(dict.fromkeys([*(path.resolve() for path in shipped), chosen]))
    return [look_at(folder) for folder in folders]


def look_at(folder: Path) -> Model:
    """Whether the engine can serve this folder: all files are there, can be read and fit."""
    folder = folder.expanduser()
    another = "Set TROUPE_MODEL_DIR to a Hugging Face folder of a family that the engine serves"
    if not folder.is_dir():
        return Model(folder, False, f"{folder} is not there", another)
    weights = sorted(folder.glob("*.safetensors"))
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not weights:
        missing.append("*.safetensors")
    if missing:
        return Model(folder, False, f"{folder} lacks {', '.join(missing)}", another)
    try:
        from troupe.engine.config import ModelConfig
        from troupe.engine.errors import EngineError
    except ModuleNotFoundError as error:
        remedy = "Install the engine with `pip install troupe[engine]`"
        return Model(folder, False, f"the engine lacks the package {error.name}", remedy)
    try:
        config = ModelConfig.load(folder)
        size = sum(path.stat().st_size for path in weights) / 2**20
        for path in (*weights, folder / "tokenizer.json"):
            with path.open("rb") as file:
                file.read(1)
    except (EngineError, OSError) as error:
        return Model(folder, False, f"{folder}: {error}", another)
    shape = f"{config.num_hidden_layers} layers, vocabulary {config.vocab_size}"
    return Model(folder, True, f"{folder} ({shape}, {size:.0f} MB)")
