"""One fact of a character or person: what it is, as others tell it and as its owner says it.

Made from the grammar of values; pure. Called by `persona` and `told`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from troupe.train.corpus.bank import Split, draw, held_out
from troupe.train.corpus.pattern import articles

_VERBS = re.compile(r"((?:\w+ )?[\w ]*?\w)/((?:\w+ )?[\w ]*?\w)(?= |$)")
FIRST_PERSON = {"they": "I", "them": "me", "their": "my"}


@dataclass(frozen=True, slots=True)
class Fact:
    """`third` is the value on the card, `first` in the owner's mouth; `items` are the parts of a
    list; `parts` name what can be asked for alone (a pet's kind and name)."""

    key: str
    third: str
    first: str
    items: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)


def resolve(text: str, pronouns: Mapping[str, str]) -> str:
    """Put pronouns in place of `<their>` and the like."""
    return re.sub(r"<(\w+)>", lambda match: pronouns[match[1]], text)


def make_fact(rng: Random, key: str, pronouns: Mapping[str, str], split: Split) -> Fact:
    """Draw a fact of kind `key`."""
    match key:
        case "age":
            return _age(rng, split)
        case "pet":
            return _pet(rng, split)
        case "family":
            return _family(rng, pronouns, split)
        case "like" | "dislike":
            return _list(rng, key, split)
        case "secret":
            return _secret(rng, pronouns, split)
    symbol = "friend" if key == "rival" else key
    raw = draw(rng, symbol, split)
    return Fact(key, resolve(raw, pronouns), resolve(raw, FIRST_PERSON))


def make_custom(rng: Random, split: Split) -> Fact:
    """A field that only this card has: its name is the fact's `field`."""
    name = draw(rng, "field", split)
    kind = rng.choice(["named", "named", "thing", "kind"])
    value = draw(rng, f"fieldvalue_{kind}", split)
    return Fact("custom", value, value, parts={"field": name})


def _age(rng: Random, split: Split) -> Fact:
    while True:
        value = str(rng.choice([rng.randint(8, 99), rng.randint(18, 60), rng.randint(100, 4000)]))
        if held_out(value) is (split is Split.HELD_OUT):
            return Fact("age", value, value)


def _pet(rng: Random, split: Split) -> Fact:
    animal, name = draw(rng, "animal", Split.TRAIN), draw(rng, "petname", split)
    adjective = f"{draw(rng, 'petadj', Split.TRAIN)} " if rng.random() < 0.6 else ""
    text = rng.choice(
        [
            f"a {adjective}{animal} named {name}",
            f"a {adjective}{animal} named {name}",
            f"a {adjective}{animal} called {name}",
            f"{name}, a {adjective}{animal}",
            f"{name} the {adjective}{animal}",
        ]
    )
    text = articles(text)
    return Fact("pet", text, text, parts={"animal": animal, "petname": name})


def _family(rng: Random, pronouns: Mapping[str, str], split: Split) -> Fact:
    relation, name = draw(rng, "relation", Split.TRAIN), draw(rng, "name", split)
    deed = draw(rng, "deed3", split)
    text = rng.choice(
        [
            f"a {relation}, {name}, who {deed}",
            f"a {relation}, {name}, who {deed}",
            f"a {relation}, {name}, who is a {draw(rng, 'jobnoun', Split.TRAIN)}",
            f"a {relation} named {name}",
            f"a {relation} named {name}, a {draw(rng, 'jobnoun', Split.TRAIN)}",
            f"a {relation} called {name} in {draw(rng, 'place', split)}",
        ]
    )
    text = articles(text)
    return Fact(
        "family",
        resolve(text, pronouns),
        resolve(text, FIRST_PERSON),
        parts={"relation": relation, "relname": name},
    )


def _list(rng: Random, key: str, split: Split) -> Fact:
    count = rng.choice([1, 1, 2, 2, 3])
    items = tuple(dict.fromkeys(draw(rng, "like", split) for _ in range(count)))
    return Fact(key, ", ".join(items), joined(items), items=items)


def joined(items: tuple[str, ...]) -> str:
    """As people say a list: with "and" before the last."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _secret(rng: Random, pronouns: Mapping[str, str], split: Split) -> Fact:
    raw = draw(rng, "secret", split)
    third, first = _VERBS.sub(r"\1", raw, count=1), _VERBS.sub(r"\2", raw, count=1)
    return Fact("secret", resolve(third, pronouns), resolve(first, FIRST_PERSON))
