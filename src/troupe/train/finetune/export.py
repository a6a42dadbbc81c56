"""The finished model as a Hugging Face folder: the base's files, with the new weights.

Called by the command line.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from troupe.train.finetune.loop import State

KEPT = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def export_run(state: State) -> Path:
    """Write `model` in the run's folder, bfloat16, in one rename; gives the folder."""
    target = state.config.run / "model"
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    half = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in state.model.state_dict().items()
    }
    save_file(half, partial / "model.safetensors", metadata={"format": "pt"})
    for name in KEPT:
        if (state.config.base / name).exists():
            shutil.copyfile(state.config.base / name, partial / name)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target
