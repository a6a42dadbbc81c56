"""A model that babbles: random weights in Troupe's checkpoint format, which never end by
themselves, so that an answer lasts as long as a test needs."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file

from tests.engine.conftest import TEMPLATE, tiny_tokenizer
from tests.engine.shapes import random_model, tiny_config

CONTEXT = 8192
NEVER = 512  # the id that ends an answer: past the vocabulary, so never drawn


def write_checkpoint(folder: Path) -> Path:
    """A Hugging Face folder. Gives its path."""
    folder.mkdir(parents=True)
    config = tiny_config(
        max_position_embeddings=CONTEXT, hidden_size=128, intermediate_size=256,
        eos_token_ids=(NEVER,),
    )  # fmt: skip
    config.save(folder)
    save_file(random_model(config).state_dict(), folder / "model.safetensors")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    names = {"chat_template": TEMPLATE, "bos_token": "<bos>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [NEVER]}))
    return folder
