"""A tiny model folder, and files of examples."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.train.conftest import tiny_config
from tests.train.models.theirs import write_theirs
from troupe.engine.ref import Model
from troupe.train.finetune.config import FinetuneConfig

WORDS = ["tea", "rain", "the old mill", "a cat", "Biscuit", "three boats", "no", "yes, gladly"]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A whole model folder with random weights."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    shutil.copytree(tokenizer_folder, folder)
    shape = tiny_config(folder).model.to_model()
    model = Model(shape)
    model.initialise(torch.Generator().manual_seed(3), std=0.2)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(shape.to_dict()))
    return folder


@pytest.fixture(scope="session")
def experts_base(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """The same tokenizer before a mixture of experts."""
    folder = tmp_path_factory.mktemp("experts") / "tiny"
    shutil.copytree(base, folder)
    shape = {"vocab_size": 1024, "eos_token_id": [1, 7], "max_position_embeddings": 512}
    write_theirs(folder, **shape)
    return folder


def said(role: str, content: str, name: str | None = None) -> dict[str, str]:
    message = {"role": role, "content": content}
    return message if name is None else {**message, "name": name}


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def talk_lines(count: int) -> list[dict[str, Any]]:
    """Conversations of one to three exchanges."""
    return [
        {
            "messages": [
                said("system", f"You are {WORDS[i % 8]}."),
                *(
                    message
                    for turn in range(1 + i % 3)
                    for message in (
                        said("user", f"What of {WORDS[(i + turn) % 8]} {i}?", "Sam"),
                        said("assistant", f"{WORDS[(i * 3 + turn) % 8]}, I think.", "Mira"),
                    )
                ),
            ]
        }
        for i in range(count)
    ]


def pair_lines(count: int) -> list[dict[str, Any]]:
    """The better answer says the word that was asked for."""
    return [
        {
            "prompt": [said("user", f"Say {WORDS[i % 8]}, number {i}.")],
            "chosen": [said("assistant", f"{WORDS[i % 8]} it is, and gladly.")],
            "rejected": [said("assistant", "I will not.")],
        }
        for i in range(count)
    ]


def judged_lines(count: int) -> list[dict[str, Any]]:
    return [
        {
            "prompt": [said("user", f"Say {WORDS[i % 8]}, number {i}.")],
            "completion": [said("assistant", "Gladly!" if i % 3 else "I will not do it.")],
            "label": bool(i % 3),
        }
        for i in range(count)
    ]


LINES: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "sft": talk_lines,
    "dpo": pair_lines,
    "kto": judged_lines,
}
MakeFinetune = Callable[..., FinetuneConfig]


@pytest.fixture
def make_finetune(tmp_path: Path, base: Path) -> MakeFinetune:
    """A configuration for examples of one kind; `batch` and others may be changed."""

    def make(kind: str, name: str = "run", count: int = 12, **changes: Any) -> FinetuneConfig:
        data = write_lines(tmp_path / f"{kind}-{count}.jsonl", LINES[kind](count))
        values: dict[str, Any] = {
            "base": base,
            "data": [data],
            "run": tmp_path / name,
            "threads": 1,
            "precision": "fp32",
            "batch": {"rows": 2, "length": 128, "accumulate": 2, "examples": 6},
            "optimizer": {"learning_rate": 1e-2, "warmup": 0.1},
        }
        return FinetuneConfig.model_validate({**values, **changes})

    return make
