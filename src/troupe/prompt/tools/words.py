"""A tokenizer for templates that no model is chosen for yet: words and signs. Pure.

Its counts are near those of a large model's tokenizer for English, and equal texts have equal
tokens, which is all that prefixes need.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

_WORD = re.compile(r" ?[^\W_]{1,8}|\s+|.", re.DOTALL)


class WordTokenizer:
    """Every word is a token, with the space before it; long words are several."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}

    def encode(self, text: str) -> list[int]:
        """A token for each word, run of white space or sign."""
        return [self._id(piece) for piece in _WORD.findall(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids that this tokenizer made, special tokens left out."""
        return "".join(self._texts.get(one, "") for one in ids)

    def special(self, name: str) -> int:
        """Any special token that a layout asks for. They are negative: no word is."""
        return -1 - zlib.crc32(name.encode())

    def _id(self, piece: str) -> int:
        number = zlib.crc32(piece.encode())
        self._texts[number] = piece
        return number
