"""The model that ships: it loads everywhere, is small, and plays as well as its card says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from troupe.engine.ref import Model
from troupe.train import pretrain
from troupe.train.config import load_config
from troupe.train.corpus import Size
from troupe.train.evaluate import evaluate
from troupe.train.tokenizer import CHAT_TEMPLATE, TextTokenizer

FOLDER = Path(pretrain.__file__).parents[1] / "models" / "troupe-small"
CONFIG = Path(pretrain.__file__).parent / "troupe-small.toml"


def test_it_is_the_model_of_its_configuration() -> None:
    config = load_config(CONFIG)
    model = Model.load(FOLDER)
    shape = config.model.to_model()
    assert model.config == shape
    assert TextTokenizer.load(FOLDER).size == shape.vocab_size
    settings = json.loads((FOLDER / "tokenizer_config.json").read_text())
    assert settings["chat_template"] == CHAT_TEMPLATE
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 16 * 2**20
    card = (FOLDER / "README.md").read_text()
    parameters = sum(p.numel() for p in model.parameters())
    assert f"{parameters:,}" in card


def test_transformers_computes_the_same() -> None:
    from transformers import AutoTokenizer, Gemma4UnifiedForCausalLM

    ours = Model.load(FOLDER)
    theirs = Gemma4UnifiedForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    text = "You are Mira. Keeps a lighthouse.\nHome: the lighthouse on Grey Point"
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    with torch.no_grad():
        expected, actual = theirs(ids).logits, ours(ids)
    assert (expected - actual).abs().max() < 1e-3


@pytest.mark.slow
def test_it_plays_unseen_characters() -> None:
    """Thresholds lie below the figures of its card by what a sample of 40 may lose."""
    values = {figure.name: figure.value for figure in evaluate(FOLDER, 40, Size(11, 2600))}
    assert values["card_fact_recall"] >= 0.48
    assert values["told_fact_recall_after_8_turns"] >= 0.56
    assert values["wrong_speaker_or_no_end"] <= 0.06
    assert values["group_answers_as_named"] >= 0.64
    assert values["group_card_fact_recall"] >= 0.4
    assert values["graceful_out_of_domain"] >= 0.5
