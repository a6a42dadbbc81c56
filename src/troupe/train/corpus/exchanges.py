"""One question and its answer: the card's facts, and everything else that people say.

Each function takes a scene and gives an `Exchange`. Called by `dialogue`.
"""

from __future__ import annotations

from functools import cache

from troupe.train.corpus.bank import choose, draw, patterns
from troupe.train.corpus.facts import Fact
from troupe.train.corpus.pattern import articles, parse
from troupe.train.corpus.persona import FACTS
from troupe.train.corpus.phrases import load
from troupe.train.corpus.scene import Exchange, Scene
from troupe.train.corpus.voice import action, line

_OFTEN = {  # how often a kind of talk comes up, where not once
    "greeting": 3, "accept": 2, "because": 2, "howareyou": 3, "about": 3, "agree": 4,
    "smalltalk": 4, "ood": 11, "oodmath": 8, "likeit": 3, "action": 2, "believe": 3, "thanks": 2,
    "whatsup": 2,
}  # fmt: skip


@cache
def intents() -> tuple[str, ...]:
    """All kinds of talk."""
    return tuple(name for name in load("talk") if name != "lists")


@cache
def _weighted() -> tuple[str, ...]:
    return tuple(name for name in intents() if name != "bye" for _ in range(_OFTEN.get(name, 1)))


def ask_fact(scene: Scene, fact: Fact | None = None) -> Exchange:
    """Ask for a fact of the card, the whole or a part of it."""
    rng = scene.rng
    fact = fact or rng.choice(scene.who.facts)
    part = next((p for p in ("petname", "relname") if p in fact.parts), "")
    if part and rng.random() < 0.4:
        values = {**fact.parts, "value": fact.parts[part]}
        return _asked(scene, part, values, (fact.parts[part],))
    values = {**fact.parts, "value": fact.first}
    expect: tuple[str, ...] = (fact.first,)
    if fact.items:
        expect = fact.items
        if rng.random() < 0.3:
            values["value"] = rng.choice(fact.items)
    if fact.key == "home" and fact.first.split(" ")[0] not in ("a", "an", "the"):
        expect = (fact.first,)
    return _asked(scene, fact.key, values, expect)


def ask_name(scene: Scene) -> Exchange:
    """Ask who the character is."""
    value = scene.rng.choice([scene.who.name, scene.who.called])
    return _asked(scene, "name", {"value": value}, (scene.who.called,))


def _asked(scene: Scene, key: str, values: dict[str, str], expect: tuple[str, ...]) -> Exchange:
    user = scene.user_says(patterns("asks", key, "ask"), values)
    char = scene.char_says(patterns("asks", key, "answer"), values)
    assert char is not None, key
    return Exchange(f"card:{key}", user.text, char, expect)


def ask_missing(scene: Scene) -> Exchange:
    """Ask for something that the card does not say; the character turns it aside."""
    have = {fact.key for fact in scene.who.facts}
    lacking = [key for key in load("asks")["missing"] if key not in have and key in FACTS]
    if not lacking:
        return ask_fact(scene)
    key = scene.rng.choice(lacking)
    user = scene.user_says(patterns("asks", key, "ask"), {})
    char = scene.char_says(patterns("asks", "missing", key), {})
    assert char is not None, key
    return Exchange("missing", user.text, char)


def talk(scene: Scene, intent: str = "") -> Exchange:
    """Anything else, of the kind `intent` or of any."""
    for _ in range(20):
        kind = intent or scene.rng.choice(_weighted())
        values = scene.card_values()
        asked = patterns("talk", kind, "user")
        if choose(scene.rng, asked, scene.split, values) is None:
            continue
        user = scene.user_says(asked, values)
        char = scene.char_says(
            patterns("talk", kind, "char"), values, user.drawn, load("talk")[kind].get("mood", "")
        )
        if char is not None:
            return Exchange(kind, user.text, char)
    return ask_fact(scene)


def story(scene: Scene) -> list[Exchange]:
    """A story in parts, each asked for."""
    rng, values = scene.rng, scene.card_values()
    names = [name for name in load("stories") if "parts" in load("stories")[name]]
    parts = patterns("stories", rng.choice(names), "parts")
    drawn: dict[str, str] = {}
    exchanges: list[Exchange] = []
    for index, part in enumerate(parts[: rng.choice([2, 3, 4, 5])]):
        if index == 0:
            asked = patterns("talk", "story", "user")
        else:
            last = index == len(parts) - 1 and rng.random() < 0.5
            asked = patterns("stories", "end" if last else "more", "user")
        user = scene.user_says(asked, values)
        char = scene.char_says((part,), values, drawn, "" if rng.random() < 0.5 else "none")
        assert char is not None
        exchanges.append(Exchange("story", user.text, char))
    return exchanges


def riddle(scene: Scene) -> list[Exchange]:
    """A riddle, then a right guess, a wrong one, or none."""
    rng = scene.rng
    question, answer = rng.choice(load("stories")["riddles"]["pairs"]).split("|")
    asked = scene.user_says(patterns("talk", "riddle", "user"), {})
    opening = scene.char_says((parse(question),), {})
    right = rng.random() < 0.4
    if right:
        guess = rng.choice(["{}?", "is it {}?", "{}!", "{}", "I think it's {}"]).format(answer)
    else:
        guess = scene.user_says(patterns("stories", "riddles", "giveup"), {}).text
    reply = scene.char_says(
        patterns("stories", "riddles", "right" if right else "wrong"), {"answer": answer}
    )
    assert opening is not None
    assert reply is not None
    return [
        Exchange("riddle", asked.text, opening),
        Exchange("riddle", guess, reply),
    ]


def greeting(scene: Scene) -> str:
    """How the character opens the chat."""
    rng, values = scene.rng, scene.card_values()
    parts: list[str] = []
    if rng.random() < 0.85:
        parts.append(f"*{action(rng, scene.who)}*")
    parts.append(line(rng, scene.who.voice.tone, "greet"))
    more = [
        f"I'm {scene.who.called}.",
        "What brings you here?",
        "Sit wherever you like.",
        "Don't mind the mess.",
        "You look like someone with a question.",
        "Who sent you?",
    ]
    if "pet" in values:
        more += [f"Mind {values['pet']}.", f"{values['pet']} heard you first."]
    if "drink" in values:
        more.append(f"Care for some {values['drink']}?")
    if "food" in values:
        more.append(f"I was just making {values['food']}.")
    if "home" in values:
        more.append(f"Few people find their way to {values['home']}.")
    if "job" in values:
        more.append(articles(f"You were looking for a {values['job']}?"))
    if "like" in values:
        more.append(f"I was thinking about {values['like']}.")
    more.append(articles(f"Careful with the {draw(rng, 'thing', scene.split)}."))
    parts += rng.sample(more, rng.choice([0, 1, 1, 2, 2, 3]))
    return " ".join(parts)
