"""Tokenizers: a model's own from its `tokenizer.json`, and an estimate where it is not known.

Neither makes a special token from text. No file is opened here: callers pass what they read.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer as _Tokenizer

from troupe.prompt.errors import TokenizerError

BYTES_A_TOKEN = 4  # of UTF-8; English runs to 4 characters a token, Chinese to about 1.3


class HuggingFaceTokenizer:
    """Any tokenizer that the `tokenizers` library can read."""

    def __init__(self, source: str | bytes) -> None:
        """`source` is the text of a `tokenizer.json`. Raises `TokenizerError`."""
        try:
            text = source.decode() if isinstance(source, bytes) else source
            self._tokenizer: _Tokenizer = _Tokenizer.from_str(text)
        except Exception as error:  # the library raises bare Exception
            raise TokenizerError(f"this is no tokenizer.json: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # Text that reads like a special token stays text.
        self._tokenizer.encode_special_tokens = True
        added = self._tokenizer.get_added_tokens_decoder()
        self._special = {token.content: id_ for id_, token in added.items()}
        self._check()

    @property
    def size(self) -> int:
        """How many tokens the vocabulary has."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; never a special token."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def special(self, name: str) -> int:
        """The id of a special token. Raises `KeyError`."""
        return self._special[name]

    def _check(self) -> None:
        """No added token may come from text: one that does could be forged by whoever writes."""
        forbidden = set(self._special.values())
        for name in self._special:
            if forbidden.intersection(self.encode(name)):
                raise TokenizerError(
                    f"the text {name!r} becomes a special token; mark it as special in "
                    "tokenizer.json"
                )


class EstimateTokenizer:
    """Counts about right for any model: a token is four bytes of UTF-8."""

    def encode(self, text: str) -> list[int]:
        """Numbers that stand for tokens; they hold their bytes and count, and nothing else."""
        data = text.encode()
        pieces = [data[n : n + BYTES_A_TOKEN] for n in range(0, len(data), BYTES_A_TOKEN)]
        return [int.from_bytes(b"\1" + piece) for piece in pieces]

    def decode(self, ids: Sequence[int]) -> str:
        """The text that `encode` was given."""
        pieces = [number.to_bytes(1 + BYTES_A_TOKEN).lstrip(b"\0")[1:] for number in ids]
        return b"".join(pieces).decode(errors="replace")

    def special(self, name: str) -> int:
        """There is none: always raises `KeyError`."""
        raise KeyError(name)
