"""The seed characters are complete, within every limit, and good cards."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from troupe.core.cards import parse, to_json
from troupe.core.seeds import Seed, load

SEEDS = load()


def test_there_are_about_a_dozen() -> None:
    assert len(SEEDS) >= 12
    assert len({seed.card.name for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.slug)
class TestEachSeed:
    def test_it_has_all_that_a_page_shows(self, seed: Seed) -> None:
        card = seed.card
        assert 3 <= len(card.name) <= 50
        assert 10 <= len(card.tagline) <= 50 + 12
        assert 40 <= len(card.description) <= 500
        assert len(card.alternate_greetings) >= 2
        assert 3 <= len(card.tags) <= 5

    def test_its_greeting_does_something_and_speaks(self, seed: Seed) -> None:
        for greeting in (seed.card.greeting, *seed.card.alternate_greetings):
            assert re.match(r"\*[^*]+\* \S", greeting)
            assert len(greeting) <= 400

    def test_it_knows_the_facts_that_people_ask_for(self, seed: Seed) -> None:
        fields = dict(re.findall(r"^(\w+): (.+)$", seed.card.definition, re.MULTILINE))
        wanted = "Name Age Job Home Pet Likes Dislikes Family Fear Dream Secret Personality Speech"
        assert set(wanted.split()) <= set(fields)

    def test_its_examples_alternate(self, seed: Seed) -> None:
        speakers = re.findall(r"^\{\{(user|char)\}\}: ", seed.card.example_dialogues, re.MULTILINE)
        assert speakers == ["user", "char"] * (len(speakers) // 2)
        assert len(speakers) >= 4

    def test_its_portrait_is_a_square_webp(self, seed: Seed) -> None:
        with Image.open(io.BytesIO(seed.portrait)) as image:
            assert image.format == "WEBP"
            assert image.width == image.height >= 512

    def test_it_is_a_card_like_any_other(self, seed: Seed) -> None:
        assert parse(to_json(seed.card).encode()).definition == seed.card.definition
