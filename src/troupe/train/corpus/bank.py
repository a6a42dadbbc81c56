"""The phrase banks, the grammar of values, and what is held out of training.

One line of a bank in eight is held out by a hash of its text, and so is one value in eight:
`TRAIN` never draws them, `HELD_OUT` draws nothing else where there is a choice. The rule needs no
list, so it also holds for values that are made up on the fly.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from random import Random
from typing import Any

from troupe.train.corpus.names import made_name, made_place, made_surname, made_word
from troupe.train.corpus.pattern import Pattern, articles, parse
from troupe.train.corpus.phrases import listed, load
from troupe.train.errors import CorpusError

ONE_IN = 8
_FEWEST = 6  # shorter lists have nothing to spare


class Split(StrEnum):
    """Which half of the language is spoken."""

    TRAIN = "train"
    HELD_OUT = "held_out"


def held_out(text: str) -> bool:
    """Whether a phrase or value belongs to the held-out part."""
    return zlib.crc32(text.encode()) % ONE_IN == 0


@cache
def patterns(bank: str, section: str, key: str) -> tuple[Pattern, ...]:
    """The parsed patterns of one list of a bank; empty where there is none."""
    return tuple(parse(source) for source in listed(load(bank).get(section, {}).get(key, ())))


def choose(
    rng: Random,
    options: Sequence[Pattern],
    split: Split,
    known: Iterable[str] = (),
) -> Pattern | None:
    """A pattern of this split whose slots are all in `known` or drawn (`$`); None if none is."""
    names = set(known)
    fit = [p for p in options if all(_plain(s) in names or "$" in s for s in p.slots)]
    if len(options) >= _FEWEST:
        held = [p for p in fit if held_out(p.source)]
        if split is Split.HELD_OUT and held:
            fit = held
        elif split is Split.TRAIN:
            fit = [p for p in fit if not held_out(p.source)]
    return rng.choice(fit) if fit else None


def _plain(slot: str) -> str:
    """`^value`, `a value` and `ing value` are forms of `value`."""
    return slot.split(" ")[-1].lstrip("^")


@cache
def _grammar() -> Mapping[str, tuple[Pattern, ...]]:
    symbols: dict[str, Any] = dict(load("values"))
    symbols |= load("told")["lists"] | load("talk")["lists"]
    symbols["plan"] = symbols.pop("plans")
    symbols["favkind"] = symbols.pop("favkinds")
    symbols["kin"] = symbols.pop("rels")
    symbols["kept"] = symbols.pop("pets")
    return {name: tuple(parse(s) for s in listed(value)) for name, value in symbols.items()}


def draw(rng: Random, symbol: str, split: Split) -> str:
    """A value of the grammar. Raises `CorpusError` for a symbol that it lacks."""
    for _ in range(200):
        value = articles(_draw(rng, symbol))
        if held_out(value) is (split is Split.HELD_OUT):
            return value
    # A symbol with few values may have none held out: then any will do.
    return value


def _draw(rng: Random, symbol: str) -> str:
    match symbol:
        case "name":
            return made_name(rng)
        case "surname":
            return made_surname(rng)
        case "place":
            return made_place(rng)
        case "word":
            return made_word(rng)
        case "number":
            return str(rng.choice([rng.randint(2, 12), rng.randint(2, 99), rng.randint(100, 999)]))
    productions = _grammar().get(symbol)
    if not productions:
        raise CorpusError(f"no symbol {symbol!r} in the grammar of values")
    return rng.choice(productions).expand(rng, lambda slot: _draw(rng, slot))
