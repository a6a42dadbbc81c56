"""Putting an answer into a character's voice: actions, openers, closers, habits.

The heart of an answer is the same for everyone; what stands around it tells who speaks. Pure.
"""

from __future__ import annotations

from functools import cache
from random import Random

from troupe.train.corpus.bank import Split, draw
from troupe.train.corpus.facts import resolve
from troupe.train.corpus.pattern import Pattern, articles, parse, upper_first
from troupe.train.corpus.persona import Persona
from troupe.train.corpus.phrases import load, words

_PET_ACTS = (
    "scratches {petname} behind the ears",
    "lets {petname} climb onto <their> lap",
    "looks for {petname}",
    "shoos {petname} off the table",
    "feeds {petname}",
    "glances at {petname}",
)


@cache
def _lines(tone: str, key: str) -> tuple[Pattern, ...]:
    return tuple(parse(source) for source in load("tones")[tone].get(key, ()))


def line(rng: Random, tone: str, key: str) -> str:
    """One of a tone's openers, closers or greetings."""
    return rng.choice(_lines(tone, key)).expand(rng, lambda slot: draw(rng, slot, Split.TRAIN))


def action(rng: Random, who: Persona) -> str:
    """What the character does, without asterisks."""
    pet = who.fact("pet")
    if pet is not None and rng.random() < 0.1:
        pattern = parse(rng.choice(_PET_ACTS))
    else:
        tone = who.voice.tone if rng.random() < 0.65 else "shared"
        pattern = rng.choice(_lines(tone, "act"))
    text = pattern.expand(
        rng,
        lambda slot: pet.parts[slot] if pet and slot in pet.parts else draw(rng, slot, Split.TRAIN),
    )
    return resolve(articles(text), who.pronouns)


def lower_start(text: str) -> str:
    """Without the capital of the sentence, where the first word is no name."""
    first = text.split(" ", 1)[0].rstrip(".,!?")
    return text[:1].lower() + text[1:] if first in words("habits", "lowerable") else text


def dress(rng: Random, who: Persona, core: str, mood: str = "") -> str:
    """An answer in the character's voice. `mood` "soft" leaves out jokes and asides, "none"
    leaves the words alone."""
    if mood == "none":
        return core
    voice = who.voice
    soft = mood == "soft"
    acted = core.startswith("*")
    before, after = [], []
    if not acted and rng.random() < 0.4:
        before.append(f"*{action(rng, who)}*")
    if not soft and not acted and rng.random() < 0.4:
        before.append(line(rng, voice.tone, "open"))
    if not soft and rng.random() < 0.25:
        after.append(line(rng, voice.tone, "close"))
    if not acted and not before and rng.random() < 0.08:
        after.append(f"*{action(rng, who)}*")
    core = _with_habit(rng, who, core, soft)
    if before and before[-1].endswith(","):
        core = lower_start(core)
    return " ".join([*before, core, *after])


def _with_habit(rng: Random, who: Persona, core: str, soft: bool) -> str:
    habit, word = who.voice.habit, who.voice.word
    if not habit or rng.random() > 0.5 or core.startswith("*"):
        return core
    if habit == "address":
        if core[-1] in ".!?" and not core.endswith("..."):
            return f"{core[:-1]}, {word}{core[-1]}"
        return core
    if habit == "oath":
        return core if soft else f"{upper_first(word)}! {core}"
    if habit == "begin":
        return f"{word} {lower_start(core) if word.endswith(',') else core}"
    if core[-1] in ".!" and not soft:
        return f"{core[:-1]}, {word}"
    return core
