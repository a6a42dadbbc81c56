"""The tokens of pieces of text, each computed once while it is in use. Pure.

A piece is known by its text, so what one conversation tokenized another need not.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from weakref import WeakKeyDictionary

from troupe.prompt.types import Tokenizer

MAX_HELD = 4_000_000  # characters and tokens of all pieces together, for each tokenizer


class Known:
    """The pieces that were asked for last. For use from any thread."""

    def __init__(self, max_held: int = MAX_HELD) -> None:
        self._max_held = max_held
        self._pieces: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._held = 0
        self._lock = Lock()

    def get(self, text: str) -> tuple[int, ...] | None:
        """The tokens of `text`, if they are known."""
        with self._lock:
            found = self._pieces.get(text)
            if found is not None:
                self._pieces.move_to_end(text)
            return found

    def put(self, text: str, ids: tuple[int, ...]) -> None:
        """Keep the tokens of `text`, and let go of what was not asked for the longest time."""
        with self._lock:
            if text in self._pieces:
                return
            self._pieces[text] = ids
            self._held += len(text) + len(ids)
            while self._held > self._max_held and len(self._pieces) > 1:
                gone, tokens = self._pieces.popitem(last=False)
                self._held -= len(gone) + len(tokens)


class Segments:
    """A tokenizer that remembers; all that stand for one tokenizer share what they know."""

    def __init__(self, tokenizer: Tokenizer, known: Known | None = None) -> None:
        self.tokenizer = tokenizer
        self._known = known or _known(tokenizer)

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`."""
        if not text:
            return ()
        ids = self._known.get(text)
        if ids is None:
            ids = tuple(self.tokenizer.encode(text))
            self._known.put(text, ids)
        return ids


_SHARED: WeakKeyDictionary[Tokenizer, Known] = WeakKeyDictionary()
_LOCK = Lock()


def _known(tokenizer: Tokenizer) -> Known:
    """What is known of a tokenizer's pieces; it goes when the tokenizer goes."""
    with _LOCK:
        try:
            return _SHARED.setdefault(tokenizer, Known())
        except TypeError:  # it cannot be hashed, or not be referred to weakly
            return Known()
