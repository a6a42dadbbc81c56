"""A run's checkpoint as a Hugging Face folder that the engine, transformers and others read.

Called by the command line and by `evaluate`, which scores such folders.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from troupe.train.config import TrainConfig
from troupe.train.errors import ResumeError
from troupe.train.runs import CHECKPOINT
from troupe.train.tokenizer import BOS, END, EOS, PAD

# Hot enough to vary, cool enough to copy a card's facts to the letter.
SAMPLING = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}


def export(config: TrainConfig, folder: Path) -> None:
    """Write `config.json`, `generation_config.json`, `model.safetensors` (bfloat16) and the
    tokenizer's files. Raises `ResumeError` if the run has no checkpoint yet."""
    path = config.run / CHECKPOINT
    if not path.exists():
        raise ResumeError(f"{path} does not exist: train first, or wait for the first checkpoint")
    weights = torch.load(path, weights_only=True)["model"]
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in weights.items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    shape = config.model.to_model()
    data = {**shape.to_dict(), "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    generation = {
        "bos_token_id": BOS,
        "eos_token_id": [EOS, END],
        "pad_token_id": PAD,
        **SAMPLING,
    }
    text = json.dumps(generation, indent=2) + "\n"
    (folder / "generation_config.json").write_text(text, encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(config.run / name, folder / name)
