"""Tokens of ASCII text piece by piece: what a tokenizer did with a word once holds wherever the
word stands. Pure.

Byte-pair tokenizers first split a text by a pattern, and merge within each piece alone. Where the
pattern is known and means the same to Python for ASCII text, pieces are looked up; only a new one
is tokenized. Called by `tokenizers.py`, which checks the outcome on samples before it relies on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

MAX_PIECES = 50_000
MAX_PIECE = 64  # characters of a piece that is remembered
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SAMPLES = (
    "", "a", " a", "Hello, world!", "a\n\n\nb", " \n ", "\n", "   ", "...!!!???---", "<|end|><s>",
    "It's  what I'LL do:\n\n  two   spaces\t\ttabs \n x", "3.14159 and 1234567,89", "x" * 100,
    "foo_bar(baz)[0] = {'k': \"v\"};\r\n\r\n#!/bin/sh", "\x00\x1f\x7f\x0b\x0c\x1c",
    "CamelCaseWORDs aB Ab\tz  ",
)  # fmt: skip
_CLASSES = {
    "L": "A-Za-z", "N": "0-9", "Nd": "0-9", "Lu": "A-Z", "Ll": "a-z",
    "Lt": "", "Lm": "", "Lo": "", "M": "", "Mn": "", "Mc": "",
}  # fmt: skip
_COUNTED = re.compile(r"[0-9,]\}\+")
_CLASS = re.compile(r"\\p\{(\w+)\}")


Whole = Callable[[str], tuple[list[int], Sequence[int | None]]]  # ids, and which piece each is of


class Words:
    """A tokenizer for ASCII text. `whole` is what it stands for."""

    def __init__(self, pattern: re.Pattern[str], whole: Whole) -> None:
        self._split = pattern.findall
        self._whole = whole
        self._known: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, which is ASCII."""
        pieces = self._split(text)
        known = self._known
        if sum(map(len, pieces)) != len(text):  # what no piece covers would be pieces too
            return self._whole(text)[0]
        try:
            return [*chain.from_iterable([known[piece] for piece in pieces])]
        except KeyError:
            ids, places = self._whole(text)
            self._learn(pieces, ids, places)
            return ids

    def _learn(self, pieces: Sequence[str], ids: list[int], places: Sequence[int | None]) -> None:
        """Remember pieces from a text that had new ones."""
        if len(self._known) + len(pieces) > MAX_PIECES:
            self._known = {}
        found: dict[int, list[int]] = {}
        for token, place in zip(ids, places, strict=True):
            if place is None or place >= len(pieces):
                return
            found.setdefault(place, []).append(token)
        if len(found) != len(pieces):  # it was split otherwise
            return
        for place, of_piece in found.items():
            if len(pieces[place]) <= MAX_PIECE:
                self._known[pieces[place]] = tuple(of_piece)


def words_of(pattern: str | None, whole: Whole, space: str = " ") -> Words | None:
    """A tokenizer that splits by `pattern`, in which spaces are written as `space`; None if there
    is no pattern, Python cannot use it, or the outcome would not be that of `whole`."""
    if pattern is None:
        return None
    compiled = _for_ascii(pattern.replace(space, " "))
    if compiled is None:
        return None
    words = Words(compiled, whole)
    for text in (*SAMPLES, *SAMPLES):  # learned the first time, looked up the second
        ids, places = whole(text)
        pieces = compiled.findall(text)
        split_alike = set(places) == set(range(len(pieces)))
        if words.encode(text) != ids or (sum(map(len, pieces)) == len(text) and not split_alike):
            return None
    return words


def _for_ascii(pattern: str) -> re.Pattern[str] | None:
    """The pattern as Python writes it, for ASCII text."""
    # Oniguruma repeats what Python takes as possessive: \d{1,3}+ is any number of digits.
    if _COUNTED.search(pattern) or any(name not in _CLASSES for name in _CLASS.findall(pattern)):
        return None
    out, inside, at = "", False, 0
    while at < len(pattern):
        found = _CLASS.match(pattern, at)
        if found:
            letters = _CLASSES[found[1]]
            out += letters if inside else f"[{letters}]" if letters else "(?!)"
            at = found.end()
            continue
        step = 2 if pattern[at] == "\\" else 1
        if step == 1 and pattern[at] == "[":
            if inside:  # a class within a class: Python has none
                return None
            inside = True
        elif step == 1 and pattern[at] == "]":
            inside = False
        out += pattern[at : at + step]
        at += step
    try:
        compiled = re.compile(out, re.ASCII)
    except re.error:
        return None
    return compiled if compiled.groups == 0 else None


def split_of(source: Mapping[str, Any]) -> tuple[str | None, str]:
    """The pattern by which the tokenizer of a `tokenizer.json` splits, and how it writes a space;
    no pattern where it does more or other than that."""
    model, normalizer = source.get("model") or {}, source.get("normalizer")
    affixes = (model.get("continuing_subword_prefix"), model.get("end_of_word_suffix"))
    if model.get("type", "BPE") != "BPE" or model.get("dropout") or any(affixes):
        return None, " "
    space = " "
    if normalizer and normalizer.get("type") == "Replace":
        space = normalizer["content"]
        if normalizer["pattern"] != {"String": " "} or len(space) != 1 or space.isascii():
            return None, " "
    elif normalizer and normalizer.get("type") not in ("NFC", "NFKC", "NFD", "NFKD"):
        return None, " "
    steps = _steps(source.get("pre_tokenizer") or {})
    patterns = [pattern for pattern in map(_pattern, steps) if pattern != ""]
    return (patterns[0] if len(patterns) == 1 else None), space


def _steps(step: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if step.get("type") == "Sequence":
        return [inner for one in step["pretokenizers"] for inner in _steps(one)]
    return [step]


def _pattern(step: Mapping[str, Any]) -> str | None:
    """The pattern of a step that splits; empty for one that only writes bytes as letters."""
    if step.get("type") == "ByteLevel" and not step.get("add_prefix_space"):
        return GPT2 if step.get("use_regex", True) else ""
    if step.get("type") == "Split" and step.get("behavior") == "Isolated":
        pattern = step["pattern"].get("Regex")
        return None if step.get("invert") else pattern
    return None
