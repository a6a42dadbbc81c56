"""How people type: case, punctuation, slips, fillers. Slots keep their values untouched.

Works on a text in which values are hidden behind private-use characters; pure.
"""

from __future__ import annotations

import re
from random import Random

_SHORT = {"you": "u", "are": "r", "please": "pls", "because": "cuz", "your": "ur", "okay": "ok"}
_FILLERS = (
    "so,",
    "ok so",
    "hey,",
    "um,",
    "well,",
    "and",
    "btw,",
    "actually,",
    "hmm,",
    "oh,",
    "also,",
)
_TAILS = ("please", "lol", "haha", ":)", "then", "exactly", "again", "by the way", "huh", "xD")
_FIRST = 0xE000


class Hidden:
    """Values behind one private-use character each."""

    def __init__(self) -> None:
        self._values: list[str] = []

    def hide(self, value: str) -> str:
        """The stand-in for a value."""
        self._values.append(value)
        return chr(_FIRST + len(self._values) - 1)

    def show(self, text: str) -> str:
        """The text with all values in place."""
        for index in range(len(self._values) - 1, -1, -1):
            text = text.replace(chr(_FIRST + index), self._values[index])
        return text


def roughen(rng: Random, text: str, called: str) -> str:
    """Type `text` as somebody might; `called` is who is spoken to."""
    if text.startswith("*") or len(text) < 4:
        return text
    if rng.random() < 0.12 and text[0].islower():
        text = f"{rng.choice(_FILLERS)} {text}"
    if rng.random() < 0.08 and text[-1].isalpha():
        text = f"{text} {rng.choice(_TAILS)}"
    if rng.random() < 0.08:
        text = f"{called}, {text}" if rng.random() < 0.5 else _address_at_end(text, called)
    if rng.random() < 0.1:
        text = " ".join(_SHORT.get(word, word) for word in text.split(" "))
    if rng.random() < 0.06:
        text = _slip(rng, text)
    if rng.random() < 0.5:
        text = text[:1].upper() + text[1:]
        if text[-1].isalnum() and rng.random() < 0.7:
            text += "."
    elif rng.random() < 0.5:
        text = text.lower() if rng.random() < 0.7 else text
        text = text.rstrip(".?!") or text
    if rng.random() < 0.012:
        text = text.upper()
    if text.endswith("?") and rng.random() < 0.04:
        text += "??"
    return text


def _address_at_end(text: str, called: str) -> str:
    if text[-1] in ".?!":
        return f"{text[:-1]}, {called}{text[-1]}"
    return f"{text}, {called}"


def _slip(rng: Random, text: str) -> str:
    """One slip of the finger: letters swapped, doubled or left out."""
    spots = [m.start() for m in re.finditer(r"(?<=[a-z])[a-z](?=[a-z])", text)]
    if not spots:
        return text
    at = rng.choice(spots)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + (text[at] * 2 if kind == 1 else "") + text[at + 1 :]
