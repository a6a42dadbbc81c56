"""The token ids of texts that mostly begin as an earlier one did, such as a chat's prompts. Pure.

A tokenizer splits a text at its added tokens before it does anything else, and what stands behind
one has the same tokens whatever stands before it. So a text is tokenized from the last added token
on that it shares with an earlier text; the ids before are that text's. Called by `specials.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from tokenizers import Tokenizer as _Tokenizer

from troupe.prompt.hashes import common_prefix

_KEPT = 8  # texts


class _Known(NamedTuple):
    text: str
    ids: list[int]
    places: list[tuple[int, int]]  # of added tokens: where each begins in the text and in the ids


class Lasting:
    """A tokenizer that makes added tokens of text, and remembers its last few texts. For use from
    any thread."""

    def __init__(self, tokenizer: _Tokenizer, added: Collection[int], longest: int) -> None:
        """`added` are the ids of its added tokens, the longest of which has so many characters."""
        self._tokenizer = tokenizer
        self._added = frozenset(added)
        self._longest = longest
        self._known: tuple[_Known, ...] = ()  # replaced as a whole, never changed

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`."""
        before, start, at = self._shared(text)
        found = self._tokenizer.encode(text[start:], add_special_tokens=False)
        ids = [*before.ids[:at], *found.ids] if before else list(found.ids)
        places = [place for place in before.places if place[1] < at] if before else []
        places += [
            (start + offset, at + n)
            for n, (id_, (offset, _)) in enumerate(zip(found.ids, found.offsets, strict=True))
            if id_ in self._added
        ]
        others = [known for known in self._known if known is not before]
        self._known = (_Known(text, ids, places), *others)[:_KEPT]
        return list(ids)

    def _shared(self, text: str) -> tuple[_Known | None, int, int]:
        """The text that this one begins like, and the place of the last added token that both have:
        there is room behind it within what is shared, so that no longer one can stand there."""
        best: tuple[_Known | None, int, int] = (None, 0, 0)
        for known in self._known:
            shared = common_prefix(known.text, text)
            for start, at in reversed(known.places):
                if start + 2 * self._longest <= shared:
                    if start > best[1]:
                        best = (known, start, at)
                    break
        return best
