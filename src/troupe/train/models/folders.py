"""Models from Hugging Face folders and back, every tensor consumed exactly once.

A tensor that is missing, misshapen or left over is an error that names it: a model that was half
read trains without complaint and is worth nothing. Called by fine-tuning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from troupe.engine.config import ModelConfig, read_json
from troupe.engine.errors import CheckpointError
from troupe.engine.ref import Model
from troupe.engine.weights import Weights
from troupe.train.models.deepseek import DeepSeek
from troupe.train.models.deepseek_config import MODEL_TYPE, DeepSeekConfig

log = logging.getLogger("troupe.train")

TrainModel: TypeAlias = Model | DeepSeek

_EXPERTS = re.compile(r"(.*\.mlp\.experts)\.(gate_up|down)$")
_PARTS = {"gate_up": ("gate_proj", "up_proj"), "down": ("down_proj",)}


def shaped_model(folder: Path) -> TrainModel:
    """A model of the folder's shape with fresh weights. Raises `CheckpointError`."""
    if _model_type(folder) == MODEL_TYPE:
        return DeepSeek(DeepSeekConfig.load(folder))
    return Model(ModelConfig.load(folder))


def load_model(folder: Path) -> TrainModel:
    """The model of a folder, float32. Raises `CheckpointError` that names the tensor or key."""
    model: TrainModel
    if _model_type(folder) == MODEL_TYPE:
        model = DeepSeek(DeepSeekConfig.load(folder))
        _read(model, folder)
    else:
        model = Model.load(folder)
        _refuse_extras(model, folder)
    return model.eval()


def hugging_face_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model's state by the names of its folder."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        match = _EXPERTS.match(name)
        if match is None:
            tensors[name] = tensor
            continue
        for part, expert, piece in _expert_parts(match[2], tensor):
            tensors[f"{match[1]}.{expert}.{part}.weight"] = piece
    return tensors


def _expert_parts(kind: str, stacked: Tensor) -> Iterator[tuple[str, int, Tensor]]:
    """Name, expert and matrix of each part of stacked experts; the matrices are views."""
    parts = _PARTS[kind]
    for expert, whole in enumerate(stacked):
        for part, piece in zip(parts, whole.chunk(len(parts)), strict=True):
            yield part, expert, piece


@torch.no_grad()
def _read(model: DeepSeek, folder: Path) -> None:
    weights = Weights(folder)
    unread = set(weights)
    for name, tensor in hugging_face_tensors(model.state_dict()).items():
        if name not in unread:
            raise CheckpointError(f"{folder}: there is no tensor {name}")
        found = torch.from_numpy(weights[name])
        if found.shape != tensor.shape:
            raise CheckpointError(
                f"{folder}: {name} has shape {tuple(found.shape)}, and config.json asks for "
                f"{tuple(tensor.shape)}"
            )
        tensor.copy_(found)
        unread.discard(name)
    _refuse(folder, {name for name in unread if not _of_later_layer(model, name)})
    later = [name for name in unread if _of_later_layer(model, name)]
    if later:
        log.warning(
            "%d tensors of the layers that predict later tokens are not trained, and will not be "
            "in the result", len(later),
        )  # fmt: skip


def _of_later_layer(model: DeepSeek, name: str) -> bool:
    """Layers behind the last are for multi-token prediction, which is not computed here."""
    match = re.match(r"model\.layers\.(\d+)\.", name)
    return match is not None and int(match[1]) >= model.config.num_hidden_layers


def _refuse_extras(model: Model, folder: Path) -> None:
    extra = set(Weights(folder)) - set(model.state_dict())
    if model.lm_head is None:  # a tied head that was written out all the same
        extra.discard("lm_head.weight")
    _refuse(folder, {name for name in extra if not name.endswith("rotary_emb.inv_freq")})


def _refuse(folder: Path, extra: set[str]) -> None:
    if extra:
        some = ", ".join(sorted(extra)[:3])
        raise CheckpointError(
            f"{folder} holds {len(extra)} tensors that this model has no place for: {some}"
        )


def end_tokens(folder: Path) -> tuple[int, ...]:
    """The ids that end an answer, by `config.json` and `generation_config.json`. Raises
    `CheckpointError` if there are none."""
    found: list[int] = []
    for name in ("config.json", "generation_config.json"):
        said = read_json(folder / name).get("eos_token_id") if (folder / name).exists() else None
        found += said if isinstance(said, list) else [] if said is None else [said]
    if not found or not all(type(token) is int for token in found):
        raise CheckpointError(f"{folder}: eos_token_id must be an id or a list of ids")
    return tuple(sorted(set(found)))


def _model_type(folder: Path) -> str:
    return str(read_json(folder / "config.json").get("model_type"))
