"""What a conversation knows as it goes: who speaks, what was told, what has been drawn.

A scene expands patterns for the user's side (typed roughly) and the character's (in its voice).
Called by `exchanges` and `told`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from troupe.train.corpus.bank import Split, choose, draw
from troupe.train.corpus.facts import joined
from troupe.train.corpus.noise import Hidden, roughen
from troupe.train.corpus.pattern import Pattern, articles, upper_first
from troupe.train.corpus.persona import Persona
from troupe.train.corpus.voice import action, dress

GENERIC_NAMES = ("User", "Guest", "You", "Anon", "Traveler", "Friend", "Player", "Visitor", "Me")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A user's message and its answer. `expect`: the answer is right if it holds one of these;
    empty where no fact is asked for. `kind` says what was asked."""

    kind: str
    user: str
    char: str
    expect: tuple[str, ...] = ()


@dataclass(slots=True)
class Told:
    """Something that the user said of themselves."""

    kind: str
    slots: Mapping[str, str]
    at: int  # the exchange in which it was told; -1 for the persona's description
    asked: bool = False


@dataclass(slots=True)
class Scene:
    """One conversation between a user and a character."""

    rng: Random
    split: Split
    who: Persona
    user: str
    told: dict[str, Told] = field(default_factory=dict)
    turn: int = 0

    @property
    def you(self) -> str:
        """What the character calls the user."""
        if "name" in self.told:
            return self.told["name"].slots["value"]
        return self.user if self.user not in GENERIC_NAMES else "friend"

    def card_values(self) -> dict[str, str]:
        """Plain slots that this card can fill."""
        values = {
            "me": self.who.called,
            "you": self.you,
            "act": "",
            "trait": joined(self.who.voice.traits),
        }
        for fact in self.who.facts:
            match fact.key:
                case "like" | "dislike":
                    values[fact.key] = self.rng.choice(fact.items)
                case "pet":
                    values["pet"] = fact.parts["petname"]
                case "custom" | "secret":
                    pass
                case _:
                    values[fact.key] = fact.first
        return values

    def user_says(self, options: tuple[Pattern, ...], values: Mapping[str, str]) -> Lines:
        """Choose and expand a message of the user; None of `options` fitting is an error of the
        bank, and cannot happen where one of them has no plain slot."""
        pattern = choose(self.rng, options, self.split, values)
        assert pattern is not None, "no pattern fits"
        drawn: dict[str, str] = {}
        fill = self._filler(values, drawn)
        hidden = Hidden()
        text = articles_hidden(pattern, self.rng, fill, hidden)
        text = roughen(self.rng, text, self.who.called)
        return Lines(articles(hidden.show(text)), drawn)

    def char_says(
        self,
        options: tuple[Pattern, ...],
        values: Mapping[str, str],
        drawn: dict[str, str] | None = None,
        mood: str = "",
    ) -> str | None:
        """Choose and expand an answer, in the character's voice; None if no pattern fits."""
        drawn = {} if drawn is None else drawn
        plain = dict(values)
        if drawn:
            first, *rest = drawn.values()
            plain |= {"first": first, "echo": first, "gift": first}
            if rest:
                plain["second"] = rest[0]
        pattern = choose(self.rng, options, Split.TRAIN, plain)
        if pattern is None:
            return None
        core = articles(pattern.expand(self.rng, self._filler(plain, drawn)))
        return dress(self.rng, self.who, upper_first(core), mood)

    def _filler(self, values: Mapping[str, str], drawn: dict[str, str]) -> Callable[[str], str]:
        def fill(slot: str) -> str:
            form, _, name = slot.rpartition(" ")
            if name.startswith("^"):
                form, name = "^", name[1:]
            if name == "act":
                value = action(self.rng, self.who)
            elif name.startswith("$"):
                if name not in drawn:
                    drawn[name] = draw(self.rng, name[1:].split(":")[0], self.split)
                value = drawn[name]
            else:
                value = values[name]
            return formed(form, value)

        return fill


@dataclass(frozen=True, slots=True)
class Lines:
    """A user's text and the values drawn for it, in the order of the text."""

    text: str
    drawn: dict[str, str]


def articles_hidden(
    pattern: Pattern, rng: Random, fill: Callable[[str], str], hidden: Hidden
) -> str:
    """Expand with values hidden; an article goes in with the value that it belongs to."""
    return pattern.expand(rng, lambda slot: hidden.hide(fill(slot)))


def formed(form: str, value: str) -> str:
    """A value in the form that a slot asks for."""
    match form:
        case "^" | "":
            return upper_first(value) if form else value
        case "a":
            return articles(f"a {value}")
        case "A":
            return articles(f"A {value}")
        case _:
            return value if value.split(" ")[0].endswith("ing") else f"with {value}"
