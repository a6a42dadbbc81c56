"""TRL's trainers compute the same losses from the same weights and the same tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset as Rows
from transformers import Gemma4UnifiedForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from tests.train.finetune.conftest import MakeFinetune, judged_lines, pair_lines
from troupe.train.data import Document
from troupe.train.finetune.config import Method as Kind
from troupe.train.finetune.loop import State, gradients, start

BETA = 0.3


def moved(base: Path) -> Gemma4UnifiedForCausalLM:
    """The policy: the base, a little off."""
    model = Gemma4UnifiedForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.02)
    return model


def ours(state: State) -> float:
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.mul_(1.02)
    (step,) = state.plan
    return gradients(state, step)[0]


def padded(documents: list[Document], prefix: str = "") -> dict[str, torch.Tensor]:
    """Documents as TRL's collators make them: one a row, padded on the right."""
    width = max(len(document.ids) for document in documents)
    made = torch.zeros(3, len(documents), width, dtype=torch.long)
    for row, document in enumerate(documents):
        size = len(document.ids)
        made[0, row, :size] = torch.tensor(document.ids)
        made[1, row, :size] = 1
        made[2, row, :size] = torch.tensor([int(w > 0) for w in document.weights])
    names = ("input_ids", "attention_mask", "completion_mask")
    return {prefix + name: tensor for name, tensor in zip(names, made, strict=True)}


def arguments(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "trl"), "use_cpu": True, "beta": BETA, "report_to": [],
        "per_device_train_batch_size": 12, "bf16": False, "activation_checkpointing": False,
        "disable_dropout": True,
    }  # fmt: skip


def by_dpo(base: Path, folder: Path, loss: str, state: State) -> float:
    trainer = DPOTrainer(
        model=moved(base),
        ref_model=Gemma4UnifiedForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=DPOConfig(loss_type=[loss], **arguments(folder)),
        train_dataset=Rows.from_list(pair_lines(12)),
        processing_class=PreTrainedTokenizerFast.from_pretrained(base),
    )
    documents = state.data.documents
    batch = padded([*documents[::2], *documents[1::2]])
    return float(trainer._compute_loss(trainer.model, batch, False).detach())


def by_kto(base: Path, folder: Path, state: State) -> float:
    trainer = KTOTrainer(
        model=moved(base),
        ref_model=Gemma4UnifiedForCausalLM.from_pretrained(base, dtype=torch.float32),
        args=KTOConfig(desirable_weight=1.0, undesirable_weight=1.5, **arguments(folder)),
        train_dataset=Rows.from_list(judged_lines(12)),
        processing_class=PreTrainedTokenizerFast.from_pretrained(base),
    )
    documents = state.data.documents
    batch = {
        **padded(documents[::2]),
        **padded(documents[1::2], "KL_"),
        "label": torch.tensor(state.data.liked),
    }
    return float(trainer._compute_loss(trainer.model, batch, False).detach())


@pytest.mark.parametrize(("loss", "name"), [("dpo", "sigmoid"), ("ipo", "ipo")])
def test_pairs(
    make_finetune: MakeFinetune, base: Path, tmp_path: Path, loss: str, name: str
) -> None:
    kind: Kind = "dpo"
    batch = {"rows": 4, "length": 128, "examples": 12}
    config = make_finetune(kind, batch=batch, preference={"loss": loss, "beta": BETA})
    state = start(config, kind)
    expected = by_dpo(base, tmp_path, name, state)
    assert ours(state) == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_thumbs(make_finetune: MakeFinetune, base: Path, tmp_path: Path) -> None:
    batch = {"rows": 4, "length": 128, "examples": 12}
    preference = {"beta": BETA, "disliked_weight": 1.5}
    state = start(make_finetune("kto", batch=batch, preference=preference), "kto")
    expected = by_kto(base, tmp_path, state)
    assert ours(state) == pytest.approx(expected, abs=1e-6, rel=1e-6)
