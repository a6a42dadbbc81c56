"""A tiny run: a small tokenizer, a small model, a few steps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from troupe.train.config import TrainConfig
from troupe.train.corpus import Size, Split, dialogues
from troupe.train.tokenizer import TextTokenizer, save_tokenizer, train_tokenizer


def tiny_config(run: Path, **changes: object) -> TrainConfig:
    """Three layers, two stages, eight steps."""
    values: dict[str, object] = {
        "run": run,
        "threads": 1,
        "precision": "fp32",
        "model": {
            "vocab_size": 1024,
            "hidden_size": 32,
            "intermediate_size": 48,
            "layers": 6,
            "full_attention_every": 3,
            "shared_kv_layers": 3,
            "head_dim": 8,
            "global_head_dim": 16,
            "sliding_window": 64,
            "max_positions": 512,
        },
        "corpus": {"tokenizer_dialogues": 60},
        "optimizer": {"warmup_steps": 2},
        "stage": [
            {"steps": 5, "rows": 2, "length": 256, "most_facts": 3, "characters": 500},
            {"steps": 3, "rows": 1, "length": 512, "most_facts": 4, "characters": 900},
        ],
    }
    return TrainConfig.model_validate({**values, **changes})


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [
        text
        for d in islice(dialogues(0, Split.TRAIN, Size(4, 900)), 60)
        for text in (d.system, *(m.text for m in d.messages))
    ]
    save_tokenizer(train_tokenizer(texts, 1024), folder, 512)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> TextTokenizer:
    return TextTokenizer.load(tokenizer_folder)


MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def make_config(tmp_path: Path, tokenizer_folder: Path) -> MakeConfig:
    """A configuration whose run, a folder of this name, has its tokenizer already."""

    def make(name: str = "run", **changes: object) -> TrainConfig:
        shutil.copytree(tokenizer_folder, tmp_path / name, dirs_exist_ok=True)
        return tiny_config(tmp_path / name, **changes)

    return make
