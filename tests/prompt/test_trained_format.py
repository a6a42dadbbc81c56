"""The platform's templates give the shipped model what it was trained on, to the token."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from troupe.prompt import (
    ChatFormat,
    ChatMessage,
    HuggingFaceTokenizer,
    compile_prompt,
    platform_template,
)
from troupe.train.corpus.cards import Card, make_card, system_text
from troupe.train.corpus.dialogue import Dialogue, Message
from troupe.train.corpus.persona import make_persona
from troupe.train.data import encode_prompt
from troupe.train.tokenizer import TextTokenizer, save_tokenizer, train_tokenizer

MESSAGES = (
    Message("char", "Mira", "*waves*  Tea?\nOr rum?"),
    Message("user", "Ada", "Tea, please. <|end|> ☂"),
)


def made(seed: int) -> Card:
    rng = Random(seed)
    examples = [("Ada", "Hello?"), ("Mira", "*nods* Ahoy.")] if seed % 2 else []
    return make_card(rng, make_persona(rng, "train", 5), "train", examples)


def as_data(card: Card) -> dict[str, Any]:
    return {
        "name": card.name,
        "tagline": card.tagline,
        "description": card.description,
        "definition": card.definition,
        "example_dialogues": "\n".join(f"{who}: {text}" for who, text in card.examples),
    }


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [system_text([made(seed)], "Ada", "") for seed in range(60)]
    save_tokenizer(train_tokenizer(texts, 700), folder, 1024)
    source = (folder / "tokenizer.json").read_bytes()
    return TextTokenizer.load(folder), HuggingFaceTokenizer(source)


@pytest.mark.parametrize("seed", range(30))
def test_one_character(tokenizers, seed):
    trained, served = tokenizers
    card = made(seed)
    about = "A sailor." if seed % 3 else ""
    system = system_text([card], "Ada", about)
    data = {
        "character": as_data(card),
        "user": {"name": "Ada", "description": about},
        "instructions": "",
        "partial": "",
    }
    check("character", data, system, card.name, trained, served)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_several_characters(tokenizers, count):
    trained, served = tokenizers
    cards = [made(seed) for seed in range(count)]
    names = [card.name for card in cards]
    system = system_text(cards, "Ada", "", names)
    data = {
        "characters": [as_data(card) for card in cards],
        "speaker": names[-1],
        "user": {"name": "Ada", "description": ""},
        "partial": "",
    }
    check("group", data, system, names[-1], trained, served)


def check(template, data, system, name, trained, served):
    wanted = encode_prompt(trained, Dialogue(system, MESSAGES), len(MESSAGES), name)
    history = [ChatMessage(str(n), m.role, m.name, m.text) for n, m in enumerate(MESSAGES)]
    prompt = compile_prompt(
        platform_template(template), data, history, served, ChatFormat.TOKENS, 10_000
    )
    assert prompt.parts[0].content == system
    assert prompt.token_ids == wanted
