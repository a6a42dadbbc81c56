"""The tokens of pieces of text, each computed once while it is in use. Pure.

A piece is known by its text, so what one conversation tokenized another need not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from troupe.prompt.types import Tokenizer

MAX_HELD = 4_000_000  # characters and tokens of all pieces together, for each tokenizer


class Known:
    """The pieces that were asked for last, in two generations: when the younger is full the older
    goes. For use from any thread: two may do the same work, and none sees half of it."""

    def __init__(self, max_held: int = MAX_HELD) -> None:
        self._half = max_held // 2
        self._young: dict[str, Sequence[int]] = {}
        self._old: dict[str, Sequence[int]] = {}
        self._held = 0  # by the younger

    def get(self, text: str) -> Sequence[int] | None:
        """The tokens of `text`, if they are known."""
        found = self._young.get(text)
        if found is None and self._old:
            found = self._old.get(text)
            if found is not None:
                self.put(text, found)
        return found

    def put(self, text: str, ids: Sequence[int]) -> None:
        """Keep the tokens of `text`."""
        size = len(text) + len(ids)
        if self._held + size > self._half:
            self._old, self._young, self._held = self._young, {}, 0
        self._young[text] = ids
        self._held += size

    def get_all(self, texts: Iterable[str]) -> dict[str, Sequence[int]]:
        """The tokens of those of the texts that are known."""
        if not (self._young or self._old):
            return {}
        return {text: ids for text in texts if (ids := self.get(text)) is not None}

    def put_all(self, tokens: Mapping[str, Sequence[int]]) -> None:
        """Keep the tokens of each text."""
        size = sum(map(len, tokens)) + sum(map(len, tokens.values()))
        if self._held + size > self._half:
            for text, ids in tokens.items():
                self.put(text, ids)
        else:
            self._young.update(tokens)
            self._held += size


class Segments:
    """A tokenizer that remembers; all that stand for one tokenizer share what they know."""

    def __init__(self, tokenizer: Tokenizer, known: Known | None = None) -> None:
        self.tokenizer = tokenizer
        self._known = known or _known(tokenizer)

    def encode(self, text: str) -> Sequence[int]:
        """Token ids of `text`, for no one to change."""
        ids = self._known.get(text)
        if ids is None:
            ids = self.tokenizer.encode(text) if text else ()
            self._known.put(text, ids)
        return ids

    def encode_all(self, texts: Sequence[str]) -> list[Sequence[int]]:
        """Token ids of each text."""
        found = self._known.get_all(texts)
        encode = self.tokenizer.encode
        new: dict[str, Sequence[int]] = {
            text: encode(text) if text else () for text in dict.fromkeys(texts) if text not in found
        }
        self._known.put_all(new)
        return list(map((found | new).__getitem__, texts))


_SHARED: WeakKeyDictionary[Tokenizer, Known] = WeakKeyDictionary()
_LOCK = Lock()


def _known(tokenizer: Tokenizer) -> Known:
    """What is known of a tokenizer's pieces; it goes when the tokenizer goes."""
    with _LOCK:
        try:
            return _SHARED.setdefault(tokenizer, Known())
        except TypeError:  # it cannot be hashed, or not be referred to weakly
            return Known()
