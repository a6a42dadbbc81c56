"""Whole conversations: a card, a greeting, exchanges, an end; alone or in a group.

`dialogues` is the corpus: an endless stream that a seed decides. The text format is the shipped
model's own; `data` turns it into tokens. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from troupe.train.corpus.bank import Split, draw
from troupe.train.corpus.cards import Card, make_card, system_text
from troupe.train.corpus.exchanges import (
    ask_fact,
    ask_missing,
    ask_name,
    greeting,
    riddle,
    story,
    talk,
)
from troupe.train.corpus.persona import Persona, make_persona
from troupe.train.corpus.scene import GENERIC_NAMES, Exchange, Scene
from troupe.train.corpus.told import (
    KINDS,
    ask_own_name,
    describe_user,
    recall,
    recall_unknown,
    tell,
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `expect` and `kind` are for evaluation only."""

    role: Literal["user", "char"]
    name: str
    text: str
    kind: str = ""
    expect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation: the system part and the messages."""

    system: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """How large conversations are: facts on a card, characters of text in all."""

    most_facts: int
    characters: int


def dialogues(seed: int, split: Split, size: Size, start: int = 0) -> Iterator[Dialogue]:
    """The stream from number `start` on; the same number is always the same conversation."""
    index = start
    while True:
        yield dialogue(seed, index, split, size)
        index += 1


def dialogue(seed: int, index: int, split: Split, size: Size) -> Dialogue:
    """One conversation of the stream."""
    rng = Random(f"{seed}:{split}:{index}")
    if rng.random() < 0.18:
        return _group(rng, split, size)
    return _pair(rng, split, size)


def user_name(rng: Random, split: Split) -> str:
    """What the person is called: a name, or one of those that people leave as they are."""
    return rng.choice(GENERIC_NAMES) if rng.random() < 0.3 else draw(rng, "name", split)


def _pair(rng: Random, split: Split, size: Size) -> Dialogue:
    who = make_persona(rng, split, size.most_facts)
    user = user_name(rng, split)
    scene = Scene(rng, split, who, user)
    card = make_card(rng, who, split, _examples(scene) if rng.random() < 0.4 else ())
    described = ""
    if rng.random() < 0.25:
        described, scene.told = describe_user(rng, user, split)
    system = system_text([card], user if described or rng.random() < 0.7 else "", described)
    messages: list[Message] = []
    if rng.random() < 0.85:
        messages.append(Message("char", who.called, greeting(scene)))
    limit = size.characters - len(system)
    used = sum(len(m.text) for m in messages)
    while used < limit:
        for exchange in _next(scene):
            scene.turn += 1
            messages += _messages(exchange, user, who.called)
            used += len(exchange.user) + len(exchange.char) + 30
        if len(messages) > 60:
            break
    if rng.random() < 0.25:
        messages += _messages(talk(scene, "bye"), user, who.called)
    name = who.name if rng.random() < 0.5 else who.called
    return Dialogue(system, tuple(_renamed(m, who.called, name) for m in messages))


def _renamed(message: Message, called: str, name: str) -> Message:
    if message.role == "char" and message.name == called:
        return Message("char", name, message.text, message.kind, message.expect)
    return message


def _messages(exchange: Exchange, user: str, char: str) -> list[Message]:
    return [
        Message("user", user, exchange.user),
        Message("char", char, exchange.char, exchange.kind, exchange.expect),
    ]


def _examples(scene: Scene) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for _ in range(scene.rng.choice([1, 1, 2, 3])):
        exchange = talk(scene) if scene.rng.random() < 0.6 else ask_fact(scene)
        lines += [(scene.user, exchange.user), (scene.who.called, exchange.char)]
    return lines


def _next(scene: Scene) -> list[Exchange]:
    """The next exchange or few."""
    rng = scene.rng
    waiting = [kind for kind, told in scene.told.items() if not told.asked]
    if waiting and rng.random() < 0.06 + 0.04 * len(waiting):
        return [recall(scene, rng.choice(waiting))]
    if scene.told and rng.random() < 0.05:  # asked before or not, and long ago
        return [recall(scene, min(scene.told, key=lambda kind: scene.told[kind].at))]
    roll = rng.random()
    if roll < 0.45:
        return [ask_fact(scene)]
    if roll < 0.48:
        return [ask_name(scene)]
    if roll < 0.51:
        return [ask_missing(scene)]
    if roll < 0.63:
        return [tell(scene, rng.choice(KINDS))]
    if roll < 0.645:
        unknown = recall_unknown(scene)
        return [unknown or ask_fact(scene)]
    if roll < 0.665:
        return [ask_own_name(scene) or ask_fact(scene)]
    if roll < 0.68:
        return story(scene)
    if roll < 0.69:
        return riddle(scene)
    return [talk(scene)]


def _group(rng: Random, split: Split, size: Size) -> Dialogue:
    """Two or three characters and a person. Who answers is named by the platform; the user often
    names them too, and sometimes a second character answers the same."""
    count = rng.choice([2, 2, 2, 3])
    cast: list[Persona] = []
    while len(cast) < count:
        persona = make_persona(rng, split, max(3, size.most_facts // count))
        if persona.called not in {other.called for other in cast}:
            cast.append(persona)
    user = user_name(rng, split)
    scenes = [Scene(rng, split, who, user) for who in cast]
    cards: list[Card] = [make_card(rng, who, split, ()) for who in cast]
    names = [who.called for who in cast]
    system = system_text(cards, user if rng.random() < 0.7 else "", "", [*names[1:], names[0]])
    messages = [Message("char", names[0], greeting(scenes[0]))]
    limit = size.characters - len(system)
    used = 0
    while used < limit and len(messages) < 60:
        index = rng.randrange(count)
        scene = scenes[index]
        exchange = _asked_in_group(rng, cast, scene) if rng.random() < 0.75 else talk(scene)
        text = exchange.user
        if rng.random() < 0.7 and not text.startswith("*"):
            text = (
                f"{names[index]}, {text[0].lower() if text[1:2].islower() else text[0]}{text[1:]}"
            )
        messages.append(Message("user", user, text))
        messages.append(
            Message("char", names[index], exchange.char, exchange.kind, exchange.expect)
        )
        if rng.random() < 0.3:
            other = rng.choice([i for i in range(count) if i != index])
            messages += _second(rng, scenes[other], exchange.kind, user)
        used += sum(len(m.text) + 15 for m in messages[-3:])
    return Dialogue(system, tuple(messages))


def _asked_in_group(rng: Random, cast: list[Persona], scene: Scene) -> Exchange:
    """A fact of the card; often one of a kind that another card holds too, so that the answer
    has to come from the right card."""
    others = [persona for persona in cast if persona is not scene.who]
    shared = [
        f for f in scene.who.facts if f.key != "custom" and any(o.fact(f.key) for o in others)
    ]
    return ask_fact(scene, rng.choice(shared) if shared and rng.random() < 0.6 else None)


def _second(rng: Random, scene: Scene, kind: str, user: str) -> list[Message]:
    """Another character answers too: the same question about itself where its card can."""
    name = scene.who.called
    fact = scene.who.fact(kind.removeprefix("card:"))
    if fact is None:
        exchange = talk(scene, "agree")
        return [Message("char", name, exchange.char, exchange.kind)]
    exchange = ask_fact(scene, fact)
    asked = rng.choice(
        [f"and you, {name}?", f"{name}?", f"And what about you, {name}?", f"you too, {name}?"]
    )
    reply = Message("char", name, exchange.char, exchange.kind, exchange.expect)
    if rng.random() < 0.6 and exchange.kind == kind:
        return [Message("user", user, asked), reply]
    return [reply]
