"""A character: name, pronouns, voice, facts. Drawn at random; pure. Rendered by `cards`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from troupe.train.corpus.bank import Split, draw
from troupe.train.corpus.facts import Fact, make_custom, make_fact
from troupe.train.corpus.phrases import listed, load, words

PRONOUNS: Mapping[str, Mapping[str, str]] = {
    "she": {"they": "she", "them": "her", "their": "her"},
    "he": {"they": "he", "them": "him", "their": "his"},
    "it": {"they": "it", "them": "it", "their": "its"},
}
# How often a card holds each fact, and the order in which tidy cards give them.
FACTS: Mapping[str, float] = {
    "age": 0.7,
    "job": 0.85,
    "home": 0.75,
    "origin": 0.25,
    "pet": 0.55,
    "like": 0.75,
    "dislike": 0.6,
    "family": 0.5,
    "friend": 0.2,
    "rival": 0.15,
    "hobby": 0.35,
    "food": 0.3,
    "drink": 0.2,
    "colour": 0.2,
    "treasure": 0.2,
    "motto": 0.15,
    "fear": 0.55,
    "dream": 0.5,
    "secret": 0.5,
}


@dataclass(frozen=True, slots=True)
class Voice:
    """How somebody speaks: a tone of the bank, and perhaps a habit that the card tells."""

    tone: str
    traits: tuple[str, ...]
    speech: str
    habit: str = ""  # address, oath, begin or end
    word: str = ""  # the word of the habit


@dataclass(frozen=True, slots=True)
class Persona:
    """A character. `called` is the short name it answers to."""

    name: str
    called: str
    pronouns: Mapping[str, str]
    voice: Voice
    facts: tuple[Fact, ...]

    def fact(self, key: str) -> Fact | None:
        """The first fact of a kind."""
        return next((fact for fact in self.facts if fact.key == key), None)


def make_persona(rng: Random, split: Split, most_facts: int) -> Persona:
    """Draw a character with at most `most_facts` facts, and at least three."""
    called = draw(rng, "name", split)
    name = called
    if rng.random() < 0.5:
        name = f"{called} {draw(rng, 'surname', split)}"
    if rng.random() < 0.15:
        name = rng.choice(words("titles", "titles")) + " " + name
    pronouns = PRONOUNS[rng.choice(["she"] * 9 + ["he"] * 9 + ["it"] * 2)]
    wanted = [key for key, chance in FACTS.items() if rng.random() < chance]
    if len(wanted) < 3:
        wanted = ["job", "home", "like"]
    rng.shuffle(wanted)
    wanted = wanted[: max(3, rng.randint(most_facts // 2, most_facts))]
    facts = [make_fact(rng, key, pronouns, split) for key in FACTS if key in wanted]
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        custom = make_custom(rng, split)
        if custom.parts["field"] not in {fact.parts.get("field") for fact in facts}:
            facts.append(custom)
    return Persona(name, called, pronouns, make_voice(rng), tuple(facts))


def tones() -> tuple[str, ...]:
    """The names of all tones."""
    return tuple(name for name in load("tones") if name != "shared")


def make_voice(rng: Random) -> Voice:
    """Draw a tone, traits that tell of it, and sometimes a habit."""
    tone = rng.choice(tones())
    bank = load("tones")[tone]
    own = listed(bank["traits"])
    shared = listed(load("tones")["shared"]["traits"])
    traits = rng.sample(own, min(len(own), rng.choice([1, 2, 2]))) + rng.sample(
        shared, rng.choice([0, 1, 1, 2])
    )
    speech = rng.choice(bank["speech"])
    if rng.random() < 0.5:
        return Voice(tone, tuple(traits), speech)
    habit = rng.choice(["address", "oath", "begin", "end"])
    if habit == "address":
        word = rng.choice(words("habits", "address"))
        told = rng.choice(["says {}", "calls everyone {}", "calls people {}"])
    elif habit == "oath":
        word = rng.choice(words("habits", "oaths"))
        told = rng.choice(["swears by {}", "says {} when surprised", "exclaims {}"])
        told = told.replace("by {}", "{}") if word.startswith("by ") else told
    elif habit == "begin":
        word = rng.choice(words("habits", "begins"))
        told = rng.choice(["begins with {}", "often begins with {}", "starts sentences with {}"])
    else:
        word = rng.choice(words("habits", "ends"))
        told = rng.choice(["ends with {}", "ends sentences with {}", "often adds {} at the end"])
    told = told.format(word.rstrip(".,:!?"))
    speech = rng.choice([f"{speech}, {told}", f"{speech}; {told}", told])
    return Voice(tone, tuple(traits), speech, habit, word)
