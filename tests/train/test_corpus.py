"""The corpus: the same seed gives the same text, what is held out is never trained on."""

from __future__ import annotations

import re
from itertools import islice
from random import Random

import pytest

from troupe.train.corpus import Size, Split, dialogue, dialogues, held_out
from troupe.train.corpus.bank import choose, draw, patterns
from troupe.train.corpus.cards import STYLES, make_card, system_text
from troupe.train.corpus.exchanges import intents
from troupe.train.corpus.facts import joined
from troupe.train.corpus.pattern import articles, parse
from troupe.train.corpus.persona import make_persona, tones
from troupe.train.errors import CorpusError

SIZE = Size(8, 1500)


def test_a_conversation_depends_on_its_seed_and_number_alone() -> None:
    stream = list(islice(dialogues(3, Split.TRAIN, SIZE), 20))
    assert stream[7] == dialogue(3, 7, Split.TRAIN, SIZE)
    assert stream[5:] == list(islice(dialogues(3, Split.TRAIN, SIZE, start=5), 15))
    assert stream[0] != dialogue(4, 0, Split.TRAIN, SIZE)


def test_values_asked_for_are_held_out_or_trained_on_never_both() -> None:
    def asked(split: Split) -> set[str]:
        return {
            value
            for d in islice(dialogues(1, split, SIZE), 150)
            for m in d.messages
            if m.kind.startswith(("card:home", "card:secret", "card:food", "told:name"))
            for value in m.expect
        }

    trained, kept = asked(Split.TRAIN), asked(Split.HELD_OUT)
    assert len(trained) > 50
    assert len(kept) > 50
    assert not trained & kept


@pytest.mark.parametrize("key", ["home", "pet", "fear", "dream"])
def test_phrasings_are_held_out_or_trained_on_never_both(key: str) -> None:
    def drawn(split: Split) -> set[str]:
        found = (choose(Random(i), options, split, slots) for i in range(400))
        return {pattern.source for pattern in found if pattern is not None}

    options = patterns("asks", key, "ask")
    slots = {slot for pattern in options for slot in pattern.slots}
    kept = {pattern.source for pattern in options if held_out(pattern.source)}
    assert kept
    assert drawn(Split.TRAIN) == {pattern.source for pattern in options} - kept
    assert drawn(Split.HELD_OUT) == kept


def test_every_fact_of_a_persona_is_on_its_card() -> None:
    rng = Random(5)
    seen = 0
    for _ in range(200):
        who = make_persona(rng, Split.TRAIN, 10)
        card = make_card(rng, who, Split.TRAIN, ())
        for fact in who.facts:
            for item in fact.items or (fact.third,):
                assert item.lower() in card.definition.lower(), (fact, card.definition)
                seen += 1
    assert seen > 1000


def test_expected_values_are_in_the_answers() -> None:
    for d in islice(dialogues(2, Split.TRAIN, SIZE), 100):
        for m in d.messages:
            if m.expect and m.role == "char":
                text = m.text.lower()
                assert any(value.lower() in text for value in m.expect), (m.expect, m.text)


def test_texts_are_whole() -> None:
    """No slot, bracket or pronoun of the pattern language is left over."""
    for d in islice(dialogues(9, Split.TRAIN, Size(12, 2500)), 150):
        for text in (d.system, *(m.text for m in d.messages)):
            assert not re.search(r"[{}\ue000-\uf8ff]|<(their|they|them)>|\|", text), text
            assert "None" not in text
        assert d.messages[-1].role == "char"


def test_the_corpus_is_varied() -> None:
    assert len(intents()) >= 40
    assert len(tones()) >= 14
    assert len(set(STYLES)) >= 6
    answers = [
        m.text
        for d in islice(dialogues(1, Split.TRAIN, SIZE), 200)
        for m in d.messages
        if m.role == "char"
    ]
    assert len(set(answers)) > 0.93 * len(answers)


def test_an_empty_field_leaves_its_line_out() -> None:
    who = make_persona(Random(1), Split.TRAIN, 4)
    card = make_card(Random(1), who, Split.TRAIN, [("Sam", "hi"), (who.called, "Hello.")])
    text = system_text([card], "Sam", "")
    assert text.startswith(f"You are {who.name}.")
    assert text.endswith(f"Examples:\nSam: hi\n{who.called}: Hello.\nYou are talking with Sam.")
    assert "\n\n" not in text


def test_patterns_choose_fill_and_refuse() -> None:
    pattern = parse("[a|b [c|d]] {x}!")
    texts = {pattern.expand(Random(i), lambda slot: slot.upper()) for i in range(40)}
    assert texts == {"a X!", "b c X!", "b d X!"}
    assert pattern.slots == {"x"}
    for broken in ("[a|b", "a]", "{x"):
        with pytest.raises(CorpusError):
            parse(broken)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("a owl", "an owl"),
        ("A old, a one-eyed cat", "An old, a one-eyed cat"),
        ("a unicorn and a umbrella", "a unicorn and an umbrella"),
        ("a stoat", "a stoat"),
    ],
)
def test_articles_follow_the_sound(given: str, wanted: str) -> None:
    assert articles(given) == wanted


def test_lists_are_joined_as_people_say_them() -> None:
    assert joined(("tea",)) == "tea"
    assert joined(("tea", "rain", "owls")) == "tea, rain and owls"


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(CorpusError, match="nonsense"):
        draw(Random(0), "nonsense", Split.TRAIN)


@pytest.mark.parametrize("kind", ["ood", "oodmath"])
def test_questions_from_outside_have_many_phrasings_some_held_out(kind: str) -> None:
    options = patterns("talk", kind, "user")
    kept = [pattern for pattern in options if held_out(pattern.source)]
    assert len(options) > 60
    assert len(kept) >= 5


def test_groups_are_often_asked_what_several_cards_hold() -> None:
    """Then only the right card gives the right answer."""
    shared = 0
    for d in islice(dialogues(5, Split.TRAIN, Size(9, 1800)), 400):
        if "The people here:" not in d.system:
            continue
        asked: dict[str, set[str]] = {}
        for m in d.messages:
            if m.kind.startswith("card:"):
                asked.setdefault(m.kind, set()).add(m.name)
        shared += any(len(names) > 1 for names in asked.values())
    assert shared > 20
