"""A character as the cards of this world write it: prose, fields, lists, brackets.

`Card` is what a person filled in; `system_text` is what the platform's template makes of it for the
model. Pure. Called by `dialogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from troupe.train.corpus.bank import Split, draw, patterns
from troupe.train.corpus.facts import Fact, joined
from troupe.train.corpus.pattern import Pattern, articles, upper_first
from troupe.train.corpus.persona import Persona
from troupe.train.corpus.phrases import listed, load

STYLES = ("tidy", "tidy", "tidy", "tidy", "fields", "prose", "prose", "mixed", "bullets", "wpp")
_FIELD_NAMES = {"traits": "Personality", "speech": "Speech"}


@dataclass(frozen=True, slots=True)
class Card:
    """The parts of a card as the template takes them."""

    name: str
    tagline: str
    description: str
    definition: str
    examples: tuple[tuple[str, str], ...]  # speaker, text


def system_text(
    cards: Sequence[Card], user: str, user_description: str, group: Sequence[str] = ()
) -> str:
    """The system part of a conversation; empty fields leave their line out."""
    lines: list[str] = []
    for card in cards:
        lines.append(f"You are {card.name}. {card.tagline}".rstrip())
        lines += [part for part in (card.description, card.definition) if part]
        if card.examples:
            lines.append("Examples:")
            lines += [f"{speaker}: {text}" for speaker, text in card.examples]
    if user:
        lines.append(f"You are talking with {user}. {user_description}".rstrip())
    if group:
        lines.append(f"The people here: {joined(tuple(group))}.")
    return "\n".join(lines)


def make_card(rng: Random, who: Persona, split: Split, examples: Sequence[tuple[str, str]]) -> Card:
    """Write the persona down in a random style. Every fact appears in the definition."""
    style = rng.choice(STYLES)
    tagline = _tagline(rng, who, split) if rng.random() < 0.6 else ""
    description = _description(rng, who, split) if rng.random() < 0.45 else ""
    definition = {
        "tidy": _tidy,
        "fields": _fields,
        "prose": _prose,
        "mixed": _mixed,
        "bullets": _bullets,
        "wpp": _wpp,
    }[style](rng, who)
    return Card(who.name, tagline, description, definition, tuple(examples))


def _tagline(rng: Random, who: Persona, split: Split) -> str:
    job, home, pet = who.fact("job"), who.fact("home"), who.fact("pet")
    options = [f"{upper_first(who.voice.traits[0])} and {who.voice.traits[-1]}"]
    if job:
        options += [upper_first(job.third), f"{upper_first(who.voice.traits[0])} {job.third}"] * 2
        options.append(f"The {who.voice.traits[0]} {job.third} of {draw(rng, 'place', split)}")
    if home:
        options.append(f"From {home.third}")
    if pet:
        options.append(f"Lives with {pet.parts['petname']} the {pet.parts['animal']}")
    options.append(articles(f"Keeper of a {draw(rng, 'thing', split)}"))
    return rng.choice(options) + rng.choice([".", "", "", "!"])


def _description(rng: Random, who: Persona, split: Split) -> str:
    traits = joined(who.voice.traits)
    job = who.fact("job")
    noun = job.third if job else "stranger"
    first = rng.choice(
        [
            f"A {traits} {noun} with a {draw(rng, 'object', split)}.",
            f"{upper_first(traits)}, and never without a {draw(rng, 'object', split)}.",
            f"Once of {draw(rng, 'place', split)}, now a {noun}.",
            f"A {noun}. {upper_first(traits)}.",
        ]
    )
    second = rng.choice(
        [
            "",
            f" Come for the {draw(rng, 'foodnoun', split)}, stay for the stories.",
            " Not everyone gets an answer.",
            f" Knows more about {draw(rng, 'nouns', split)} than anyone.",
            " You will like the company.",
        ]
    )
    return articles(first + second)


def _sentence(rng: Random, who: Persona, fact: Fact) -> str:
    """A fact in prose, third person."""
    pattern: Pattern = rng.choice(patterns("asks", fact.key, "prose"))
    third = joined(fact.items) if fact.items else fact.third
    values = {
        "value": third,
        "a value": f"a {third}",
        "name": who.called,
        "is": "is",
        "field": fact.parts.get("field", ""),
        "they": who.pronouns["they"],
        "their": who.pronouns["their"],
    }
    return upper_first(articles(pattern.expand(rng, values.__getitem__)))


def _manner(rng: Random, who: Persona) -> list[str]:
    they, their = upper_first(who.pronouns["they"]), upper_first(who.pronouns["their"])
    traits = joined(who.voice.traits)
    return [
        rng.choice(
            [f"{they} is {traits}.", f"{who.called} is {traits}.", f"{their} nature: {traits}."]
        ),
        rng.choice(
            [
                f"{their} speech: {who.voice.speech}.",
                f"{they} speaks like this: {who.voice.speech}.",
            ]
        ),
    ]


def _field(fact: Fact, rng: Random, *, first: bool) -> tuple[str, str]:
    """A field's name and value; `first` takes the usual name of the field."""
    if fact.key == "custom":
        return upper_first(fact.parts["field"]), fact.third
    names = listed(load("asks")[fact.key]["field"])
    value = fact.third
    if fact.key == "secret" and rng.random() < 0.3:
        value = f"secretly {value}" if rng.random() < 0.3 else value
    return (names[0] if first else rng.choice(names)), value


def _tidy(rng: Random, who: Persona) -> str:
    """A line or two about the character, then one field a line in the usual order."""
    lines: list[str] = []
    if rng.random() < 0.75:
        told = [fact for fact in who.facts if fact.key in ("job", "home", "pet", "like")]
        chosen = rng.sample(told, min(len(told), rng.choice([1, 2])))
        text = " ".join(_sentence(rng, who, fact) for fact in chosen)
        if text:
            lines.append(text)
    lines.append(f"Name: {who.name}")
    for fact in who.facts:
        name, value = _field(fact, rng, first=rng.random() < 0.85)
        lines.append(f"{name}: {_own(value, fact, who)}")
    lines.append(f"Personality: {', '.join(who.voice.traits)}")
    lines.append(f"Speech: {who.voice.speech}")
    return "\n".join(lines)


def _own(value: str, fact: Fact, who: Persona) -> str:
    """Secrets in fields are whole sentences without a full stop."""
    return f"{who.pronouns['they']} {value}" if fact.key == "secret" else value


def _pairs(rng: Random, who: Persona) -> list[tuple[str, str]]:
    pairs = [("Name", who.name)] if rng.random() < 0.7 else []
    rest = [
        (name, _own(value, fact, who))
        for fact in who.facts
        for name, value in [_field(fact, rng, first=False)]
    ]
    rest.append(("Personality", ", ".join(who.voice.traits)))
    if rng.random() < 0.8:
        rest.append((rng.choice(["Speech", "Speech style", "Voice"]), who.voice.speech))
    rng.shuffle(rest)
    return pairs + rest


def _fields(rng: Random, who: Persona) -> str:
    separator = rng.choice([": ", ": ", ": ", " = ", " - ", ":"])
    styles: list[Callable[[str], str]] = [str, str, str.upper, str.lower]
    style = rng.choice(styles)
    return "\n".join(f"{style(name)}{separator}{value}" for name, value in _pairs(rng, who))


def _bullets(rng: Random, who: Persona) -> str:
    mark = rng.choice(["- ", "* ", "• "])
    if rng.random() < 0.5:
        return "\n".join(f"{mark}{name}: {value}" for name, value in _pairs(rng, who))
    lines = [_sentence(rng, who, fact) for fact in who.facts] + _manner(rng, who)
    rng.shuffle(lines)
    return "\n".join(mark + line for line in lines)


def _wpp(rng: Random, who: Persona) -> str:
    pairs = _pairs(rng, who)
    if rng.random() < 0.5:
        inner = " ".join(f'{name}("{value}")' for name, value in pairs)
        return f'[Character("{who.name}") {inner}]'
    return "[" + "; ".join(f"{name}: {value}" for name, value in pairs) + "]"


def _prose(rng: Random, who: Persona) -> str:
    sentences = [_sentence(rng, who, fact) for fact in who.facts]
    if rng.random() < 0.5:
        rng.shuffle(sentences)
    sentences += _manner(rng, who)
    breaks = rng.random() < 0.3
    text = sentences[0]
    for sentence in sentences[1:]:
        text += ("\n" if breaks and rng.random() < 0.25 else " ") + sentence
    return text


def _mixed(rng: Random, who: Persona) -> str:
    """Some facts in prose, the others in fields."""
    facts = list(who.facts)
    rng.shuffle(facts)
    cut = rng.randint(1, max(1, len(facts) - 1))
    prose = " ".join(_sentence(rng, who, fact) for fact in facts[:cut])
    fields = []
    for fact in facts[cut:]:
        name, value = _field(fact, rng, first=rng.random() < 0.6)
        fields.append(f"{name}: {_own(value, fact, who)}")
    fields.append(f"Personality: {', '.join(who.voice.traits)}")
    fields.append(f"Speech: {who.voice.speech}")
    return "\n".join([prose, *fields])
