"""What the user tells of themselves, and asks for many turns later. Called by `dialogue`."""

from __future__ import annotations

from random import Random

from troupe.train.corpus.bank import Split, draw, patterns
from troupe.train.corpus.pattern import articles
from troupe.train.corpus.phrases import load
from troupe.train.corpus.scene import GENERIC_NAMES, Exchange, Scene, Told

KINDS = ("name", "name", "pet", "pet", "job", "home", "favourite", "favourite", "sibling",
         "sibling", "plan", "hobby", "fear")  # fmt: skip
_FAVOURITES = {
    "colour": "colour", "food": "foodnoun", "animal": "animal", "drink": "drink",
    "sport": "activity", "flower": "plant", "season": "season",
}  # fmt: skip
_SEASONS = ("spring", "summer", "autumn", "winter")


def tell(scene: Scene, kind: str) -> Exchange:
    """The user says something of themselves; the scene remembers it."""
    slots = _draw_slots(scene.rng, kind, scene.split)
    if kind == "name" and slots["value"] == scene.who.called:
        return tell(scene, kind)
    user = scene.user_says(patterns("told", kind, "tell"), slots)
    text = user.text
    if kind in scene.told and scene.rng.random() < 0.8:
        text = (
            f"{scene.rng.choice(['Actually,', 'no wait,', 'Sorry, I meant', 'correction:'])} {text}"
        )
    char = scene.char_says(patterns("told", kind, "ack"), slots)
    assert char is not None, kind
    scene.told[kind] = Told(kind, slots, scene.turn)
    return Exchange(f"tell:{kind}", text, char)


def recall(scene: Scene, kind: str) -> Exchange:
    """The user asks for what they told."""
    told = scene.told[kind]
    told.asked = True
    user = scene.user_says(patterns("told", kind, "ask"), told.slots)
    char = scene.char_says(patterns("told", kind, "answer"), told.slots)
    assert char is not None, kind
    distance = scene.turn - told.at if told.at >= 0 else 0
    return Exchange(f"told:{kind}:{distance}", user.text, char, (told.slots["value"],))


def recall_unknown(scene: Scene) -> Exchange | None:
    """The user asks for what they never told; None if there is nothing left to ask."""
    kinds = [kind for kind in set(KINDS) if kind not in scene.told]
    if scene.user not in GENERIC_NAMES and "name" in kinds:
        kinds.remove("name")
    if not kinds:
        return None
    kind = scene.rng.choice(sorted(kinds))
    user = scene.user_says(patterns("told", kind, "ask"), _draw_slots(scene.rng, kind, scene.split))
    char = scene.char_says(patterns("told", kind, "unknown"), {})
    assert char is not None, kind
    return Exchange("unknown", user.text, char)


def ask_own_name(scene: Scene) -> Exchange | None:
    """The user asks for the name that their persona has."""
    if scene.user in GENERIC_NAMES or "name" in scene.told:
        return None
    slots = {"value": scene.user}
    user = scene.user_says(patterns("told", "name", "ask"), slots)
    char = scene.char_says(patterns("told", "name", "answer"), slots)
    assert char is not None
    return Exchange("told:name:0", user.text, char, (scene.user,))


def describe_user(rng: Random, user: str, split: Split) -> tuple[str, dict[str, Told]]:
    """A persona's description, and what it tells."""
    kinds = rng.sample(["job", "home", "pet", "hobby", "favourite", "sibling"], rng.choice([1, 2]))
    told: dict[str, Told] = {}
    lines: list[str] = []
    for kind in kinds:
        slots = _draw_slots(rng, kind, split)
        value = slots["value"]
        told[kind] = Told(kind, slots, -1)
        lines.append(
            {
                "job": f"{user} is a {value}.",
                "home": f"{user} lives in {value}.",
                "pet": f"{user} has a {slots.get('animal')} called {value}.",
                "hobby": f"{user} likes {value}.",
                "favourite": f"{user}'s favourite {slots.get('favkind')} is {value}.",
                "sibling": f"{user}'s {slots.get('rel')} is called {value}.",
            }[kind]
        )
    return articles(" ".join(lines)), told


def _draw_slots(rng: Random, kind: str, split: Split) -> dict[str, str]:
    match kind:
        case "pet":
            return {
                "value": draw(rng, "petname", split),
                "animal": draw(rng, "kept", Split.TRAIN),
                "pron": rng.choice(["his", "her", "its"]),
            }
        case "favourite":
            kind_of = draw(rng, "favkind", Split.TRAIN)
            symbol = _FAVOURITES[kind_of]
            value = rng.choice(_SEASONS) if symbol == "season" else draw(rng, symbol, split)
            return {"value": value, "favkind": kind_of}
        case "sibling":
            return {"value": draw(rng, "name", split), "rel": draw(rng, "kin", Split.TRAIN)}
        case "plan":
            return {"value": draw(rng, "plan", split), "when": draw(rng, "when", Split.TRAIN)}
        case "job":
            return {"value": draw(rng, "jobnoun", split), "number": str(rng.randint(2, 40))}
    symbol = load("told")[kind]["value"].strip("{}")
    return {"value": draw(rng, symbol, split)}
