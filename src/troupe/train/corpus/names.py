"""Made-up names of people and places: an open set, so that a model must copy rather than recall.

Pure functions of a random source. Called by `bank`.
"""

from __future__ import annotations

from random import Random

from troupe.train.corpus.phrases import words


def _pick(rng: Random, key: str) -> str:
    return rng.choice(words("names", key))


def _syllable(rng: Random, *, closed: float = 0.5) -> str:
    coda = _pick(rng, "codas") if rng.random() < closed else ""
    return _pick(rng, "onsets") + _pick(rng, "vowels") + coda


def made_word(rng: Random) -> str:
    """A made-up word with a capital: two syllables, sometimes three."""
    count = rng.choice([1, 2, 2, 2, 3])
    word = "".join(_syllable(rng, closed=0.3) for _ in range(count - 1)) + _syllable(rng)
    if rng.random() < 0.4:
        word += rng.choice(["a", "o", "i", "y", "us", "ia", "is", "en", "el"])
    return word.capitalize()


def made_name(rng: Random) -> str:
    """A first name, known or made up."""
    return _pick(rng, "given") if rng.random() < 0.5 else made_word(rng)


def made_surname(rng: Random) -> str:
    """A surname, compound or made up."""
    if rng.random() < 0.5:
        return _pick(rng, "heads") + _pick(rng, "tails")
    return made_word(rng)


def made_place(rng: Random) -> str:
    """A place: a compound, an epithet with a landform, a made-up word, or a mixture."""
    kind = rng.randrange(6)
    if kind <= 1:
        return _pick(rng, "heads") + _pick(rng, "tails")
    if kind == 2:
        return _pick(rng, "epithets") + " " + _pick(rng, "geo")
    if kind == 3:
        return _pick(rng, "heads") + _pick(rng, "tails") + " " + _pick(rng, "geo")
    if kind == 4:
        return made_word(rng) + " " + _pick(rng, "geo")
    return made_word(rng)
