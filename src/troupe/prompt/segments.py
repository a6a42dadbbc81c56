"""The tokens of pieces of text, each computed once while it is in use. Pure."""

from __future__ import annotations

from collections import OrderedDict

from troupe.prompt.types import Tokenizer

MAX_TOKENS = 200_000


class Segments:
    """A tokenizer that remembers what it was asked last, up to `MAX_TOKENS` tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._held = 0

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of `text`."""
        if not text:
            return ()
        known = self._known.get(text)
        if known is not None:
            self._known.move_to_end(text)
            return known
        ids = tuple(self._tokenizer.encode(text))
        self._known[text] = ids
        self._held += len(ids)
        while self._held > MAX_TOKENS and len(self._known) > 1:
            _, gone = self._known.popitem(last=False)
            self._held -= len(gone)
        return ids
