"""The tokens of pieces of text, each computed once while it is in use. Pure.

A piece is known by its text, so what one conversation tokenized another need not.
"""

from __future__ import annotations

from threading import Lock
from weakref import WeakKeyDictionary

from troupe.prompt.types import Tokenizer

MAX_HELD = 4_000_000  # characters and tokens of all pieces together, for each tokenizer


class Known:
    """The pieces that were asked for last, in two generations: when the younger is full the older
    goes. For use from any thread: two may do the same work, and none sees half of it."""

    def __init__(self, max_held: int = MAX_HELD) -> None:
        self._half = max_held // 2
        self._young: dict[str, tuple[int, ...]] = {}
        self._old: dict[str, tuple[int, ...]] = {}
        self._held = 0  # by the younger

    def get(self, text: str) -> tuple[int, ...] | None:
        """The tokens of `text`, if they are known."""
        found = self._young.get(text)
        if found is None and self._old:
            found = self._old.get(text)
            if found is not None:
                self.put(text, found)
        return found

    def put(self, text: str, ids: tuple[int, ...]) -> None:
        """Keep the tokens of `text`."""
        size = len(text) + len(ids)
        if self._held + size > self._half:
            self._old, self._young, self._held = self._young, {}, 0
        self._young[text] = ids
        self._held += size


class Segments:
    """A tokenizer that remembers; all that stand for one tokenizer share what they know."""

    def __init__(self, tokenizer: Tokenizer, known: Known | None = None) -> None:
        self.tokenizer = tokenizer
        self._known = known or _known(tokenizer)

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`."""
        ids = self._known.get(text)
        if ids is None:
            ids = tuple(self.tokenizer.encode(text)) if text else ()
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
