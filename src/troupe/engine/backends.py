"""Which backend computes a model's steps on this machine.

Torch is imported only where it computes: serving with the C++ operator needs none.
"""

from __future__ import annotations

import logging
import platform
import time
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from troupe.engine.config import ModelConfig
from troupe.engine.errors import CheckpointError, EngineError
from troupe.engine.steps import AnyBackend, Arena, Backend, StepModel

if TYPE_CHECKING:
    from troupe.engine.native.packfile import PackCache

log = logging.getLogger(__name__)

Name = Literal["auto", "native", "eager"]


def choose(name: Name, config: ModelConfig, packs: PackCache | None = None) -> AnyBackend:
    """The backend of this name; `auto` takes the C++ operator where it has been built and serves
    the model's shape. `packs` says where packed weights are kept, if anywhere. Raises `EngineError`
    if it cannot be had, `CheckpointError` if it does not serve the shape."""
    if name == "eager":
        return _eager()
    if name == "native":
        return _native(config, packs)
    try:
        return _native(config, packs)
    except (EngineError, CheckpointError) as error:
        log.warning("steps go through torch", extra={"why": str(error)})
        return _eager()


def _native(config: ModelConfig, packs: PackCache | None) -> AnyBackend:
    from troupe.engine.native import library
    from troupe.engine.native.arena import NativeArena, token_bytes
    from troupe.engine.native.model import NativeModel, check
    from troupe.engine.native.rate import operation_rate

    library.load()
    check(config)

    def rate(threads: int) -> float:
        return threads * operation_rate()

    def version() -> str:
        return blake2b(library.path().read_bytes(), digest_size=16).hexdigest()

    load = partial(NativeModel.load, cache=packs)
    return Backend("native", token_bytes, NativeArena, load, rate, version)


def _eager() -> AnyBackend:
    try:
        import torch
    except ImportError as error:
        raise EngineError(
            "the engine has neither its CPU operator nor torch: install Troupe again with a C++ "
            "compiler at hand, or install its extra `torch`"
        ) from error
    from troupe.engine.eager.arena import EagerArena
    from troupe.engine.eager.model import EagerModel
    from troupe.engine.eager.rate import operation_rate

    def load(folder: Path, context: int, threads: int) -> EagerModel:
        torch.set_num_threads(threads)
        return EagerModel.load(folder, context)

    def rate(_threads: int) -> float:
        return operation_rate()

    def version() -> str:
        return f"{torch.__version__} {platform.machine()} {platform.processor()}"

    return Backend("eager", EagerArena.token_bytes, EagerArena, load, rate, version)


def loaded(backend: AnyBackend, folder: Path, context: int, threads: int) -> StepModel[Arena]:
    """A folder's model, and a line in the log. Raises what the backend's `load` does."""
    started = time.monotonic()
    model: StepModel[Arena] = backend.load(folder, context, threads)
    log.info(
        "model loaded",
        extra={
            "model_dir": str(folder),
            "seconds": round(time.monotonic() - started, 3),
            "backend": backend.name,
            "how": model.how,
        },
    )
    return model
