"""Turning a question aside is told from answering it, whatever the words."""

from __future__ import annotations

import pytest

from troupe.train.corpus import Size, Split, dialogue
from troupe.train.graceful import turns_aside


@pytest.mark.parametrize(
    "text",
    [
        "*shrugs* I don't know the first thing about vaccines.",
        "I’m afraid I can’t help you with your taxes.",
        "I have never heard of the World Cup. Is it made of gold?",
        "Paris? No idea, friend.",
        "Algebra is beyond me.",
        "I'm just a baker, not an expert on moons.",
        "I've heard of robots, but never understood them.",
        "Nobody ever taught me numbers.",
    ],
)
def test_an_honest_answer_counts_in_any_words(text: str) -> None:
    assert turns_aside(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm a clockwork librarian.",
        "The capital is Candlebourne.",
        "I love vaccines and pancakes.",
        "Nobody knows this, but I am afraid of ducks.",
        "You would not understand, dear.",
        "What time is it? Tea time!",
        "I'm no expert on expert on expert on.",
        "I don't know the bell the bell the bell the bell.",
        "I've heard of about about.",
    ],
)
def test_talk_inventions_and_broken_sentences_do_not(text: str) -> None:
    assert not turns_aside(text)


def test_the_corpus_agrees() -> None:
    """Its own answers from outside the character's world count, its answers of fact do not."""
    aside: list[bool] = []
    facts: list[bool] = []
    for index in range(250):
        for message in dialogue(11, index, Split.HELD_OUT, Size(8, 2000)).messages:
            if message.kind in ("ood", "oodmath"):
                aside.append(turns_aside(message.text))
            elif message.kind.startswith("card:"):
                facts.append(turns_aside(message.text))
    assert len(aside) > 100
    assert sum(aside) > 0.98 * len(aside)
    assert sum(facts) < 0.02 * len(facts)
