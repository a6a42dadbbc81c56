"""Exact mode: the tokens of a joined text, without tokenizing again what stands still. Pure.

A text is cut at its seams, and each piece is tokenized by itself, once. A seam is a single line
break with a letter behind it and no white space before it. That the pieces' tokens are those of
the whole is not taken on trust: a tokenizer with a vocabulary must have no token that spans a seam,
and every tokenizer is probed. Where a tokenizer does not pass, texts are tokenized whole: right,
but no longer at the price of what is new.
"""

from __future__ import annotations

import re
from itertools import chain, product
from threading import Lock
from weakref import WeakKeyDictionary

from troupe.prompt.segments import Segments
from troupe.prompt.types import Tokenizer

_SEAM = re.compile(r"(?<=\S\n)(?=[^\W\d_])")
_SPANS = re.compile("\n(?:[^\\W\\d_]|\ufffd)")  # or a letter's first byte
_LEFT = ("a\n", "word\n", "The end.\n", "9\n", '"So!"\n', "x  y\n", "\U0001f600\n", "é\n", "字\n")
_RIGHT = ("b", "Word", "the end\n", "I'm", "eins zwei", "ß", "字", "s", "A:  x\n\ny", "ﬁn")


class Joined:
    """Gives the tokens of texts piece by piece."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._segments = Segments(tokenizer)
        self.has_seams = has_seams(tokenizer)

    def split(self, text: str) -> tuple[list[str], str]:
        """The pieces of `text` whose tokens hold whatever follows, and the open piece at its
        end."""
        if not self.has_seams:
            return [], text
        *settled, rest = _SEAM.split(text)
        return settled, rest

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, which begins at a seam or at the beginning."""
        settled, rest = self.split(text)
        return list(chain.from_iterable(self._segments.encode(piece) for piece in (*settled, rest)))


_CHECKED: WeakKeyDictionary[Tokenizer, bool] = WeakKeyDictionary()
_LOCK = Lock()


def has_seams(tokenizer: Tokenizer) -> bool:
    """Whether pieces of a text between seams have the tokens that they have in the text."""
    with _LOCK:
        try:
            known = _CHECKED.get(tokenizer)
        except TypeError:
            return _check(tokenizer)
        if known is None:
            known = _CHECKED[tokenizer] = _check(tokenizer)
        return known


def _check(tokenizer: Tokenizer) -> bool:
    """A tokenizer that does not tell its vocabulary may vouch for itself by `seams`."""
    vocabulary = getattr(tokenizer, "vocabulary", None)
    if vocabulary is None:
        if not getattr(tokenizer, "seams", False):
            return False
    elif any(_SPANS.search(text) for text in vocabulary()):
        return False
    for left, right in product(_LEFT, _RIGHT):
        if list(tokenizer.encode(left + right)) != [
            *tokenizer.encode(left),
            *tokenizer.encode(right),
        ]:
            return False
    return True
