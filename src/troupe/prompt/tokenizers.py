"""Tokenizers: a model's own from its `tokenizer.json`, one of tiktoken's encodings, any callable,
and an estimate where none is at hand.

None makes a special token from text. No file is opened here: callers pass what they read.
`vocabulary`, where there is one, gives the text of each token: `exact.py` asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from tokenizers import Tokenizer as _Tokenizer

from troupe.prompt.errors import TokenizerError
from troupe.prompt.words import Whole, Words, split_of, words_of

BYTES_A_TOKEN = 4  # of UTF-8; English runs to 4 characters a token, Chinese to about 1.3


class HuggingFaceTokenizer:
    """Any tokenizer that the `tokenizers` library can read."""

    def __init__(self, source: str | bytes) -> None:
        """`source` is the text of a `tokenizer.json`. Raises `TokenizerError`."""
        self._tokenizer, self._special = guarded(source)
        self._words = _words(source, self._whole)

    @property
    def size(self) -> int:
        """How many tokens the vocabulary has."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; never a special token."""
        if self._words is not None and text.isascii():
            return self._words.encode(text)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _whole(self, text: str) -> tuple[list[int], list[int | None]]:
        """The ids, and which piece of the text each is of."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        return found.ids, found.word_ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def special(self, name: str) -> int:
        """The id of a special token. Raises `KeyError`."""
        return self._special[name]

    def vocabulary(self) -> Iterator[str]:
        """The text of each token."""
        return (self.decode([token]) for token in range(self.size))


def guarded(source: str | bytes) -> tuple[_Tokenizer, dict[str, int]]:
    """A tokenizer that makes no added token from text, and its added tokens by their text.

    That holds for those too that are not marked as special, such as `<think>`; white space that has
    tokens of its own is text. Raises `TokenizerError`, also where the vocabulary itself has an
    added token's text: whoever writes could forge it.
    """
    try:
        settings = json.loads(source)
        for token in settings.get("added_tokens") or []:
            token["special"] = bool(token["content"].strip())
        tokenizer: _Tokenizer = _Tokenizer.from_str(json.dumps(settings))
    except Exception as error:  # the library raises bare Exception
        raise TokenizerError(f"this is no tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    added = tokenizer.get_added_tokens_decoder()
    special = {token.content: id_ for id_, token in added.items() if token.content.strip()}
    forbidden = set(special.values())
    for name in special:
        if forbidden.intersection(tokenizer.encode(name, add_special_tokens=False).ids):
            raise TokenizerError(
                f"the text {name!r} becomes a special token by the vocabulary itself"
            )
    return tokenizer, special


def _words(source: str | bytes, whole: Whole) -> Words | None:
    settings = json.loads(source)
    if any(not token["content"].strip() for token in settings.get("added_tokens") or []):
        return None  # white space with a token of its own is found before a text is split
    pattern, space = split_of(settings)
    return words_of(pattern, whole, space)


class Encoding(Protocol):
    """What is asked of a `tiktoken.Encoding`."""

    def encode_ordinary(self, text: str) -> list[int]: ...

    def decode(self, tokens: Sequence[int]) -> str: ...

    def encode_single_token(self, text_or_bytes: str | bytes) -> int: ...

    def token_byte_values(self) -> list[bytes]: ...

    @property
    def special_tokens_set(self) -> set[str]: ...


class TiktokenTokenizer:
    """One of tiktoken's encodings, which the caller got: that may need its vocabulary's file.

    tokenizer = TiktokenTokenizer(tiktoken.get_encoding("o200k_base"))
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._specials = frozenset(encoding.special_tokens_set)
        self.encode = encoding.encode_ordinary

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens included."""
        return self._encoding.decode(list(ids))

    def special(self, name: str) -> int:
        """The id of a special token. Raises `KeyError`."""
        if name not in self._specials:
            raise KeyError(name)
        return self._encoding.encode_single_token(name)

    def vocabulary(self) -> Iterator[str]:
        """The text of each token."""
        return (token.decode(errors="replace") for token in self._encoding.token_byte_values())


class CallableTokenizer:
    """Any function from text to token ids.

    `seams` says that no token of its spans a line break and a letter behind it, so that exact mode
    need not tokenize a whole text again for what was added to it.
    """

    def __init__(
        self,
        encode: Callable[[str], Sequence[int]],
        decode: Callable[[Sequence[int]], str] | None = None,
        special: Mapping[str, int] | None = None,
        seams: bool = False,
    ) -> None:
        self._encode = encode
        self._decode = decode
        self._special = dict(special or {})
        self.seams = seams

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`."""
        return list(self._encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids. Raises `TokenizerError` if nothing was given for that."""
        if self._decode is None:
            raise TokenizerError("this tokenizer was made without a function that decodes")
        return self._decode(ids)

    def special(self, name: str) -> int:
        """The id of a special token. Raises `KeyError`."""
        return self._special[name]


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
