"""The finished model as a Hugging Face folder: the base's files, with the new weights.

Called by the command line.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from troupe.train.finetune.loop import State
from troupe.train.models.folders import hugging_face_tensors
from troupe.train.parallel.checkpoint import whole_tensors

KEPT = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def export_run(state: State) -> Path:
    """Write `model` in the run's folder, bfloat16, in one rename; gives the folder. All processes
    must call it; the first writes."""
    target = state.config.run / "model"
    partial = target.with_suffix(".partial")
    tensors = whole_tensors(state.model)
    if not state.ranks.first:
        return target
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    half = {
        name: _as_stored(name, tensor).contiguous()
        for name, tensor in hugging_face_tensors(tensors).items()
    }
    save_file(half, partial / "model.safetensors", metadata={"format": "pt"})
    for name in KEPT:
        if (state.config.base / name).exists():
            shutil.copyfile(state.config.base / name, partial / name)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target


def _as_stored(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Biases that balance experts move by less than bfloat16 can tell."""
    return tensor if name.endswith("e_score_correction_bias") else tensor.to(torch.bfloat16)
