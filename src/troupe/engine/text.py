"""Token ids to text, piece by piece: never half a character, never part of a stop string.

`Detokenizer` turns a growing list of ids into text; `StopFinder` holds text back while it could
still become a stop string. Pure; called by the worker for each token.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from troupe.engine.errors import CheckpointError

REPLACEMENT = "\ufffd"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_LONGEST_CHARACTER = 4  # bytes of UTF-8


class Vocabulary:
    """A tokenizer with what incremental decoding needs to know of it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size(with_added_tokens=True)
        self.special = frozenset(
            id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special
        )
        # Without special tokens: those of pictures may lie beyond a text model's vocabulary.
        self.text_size = 1 + max(
            set(tokenizer.get_vocab(with_added_tokens=True).values()) - self.special, default=-1
        )
        self.byte_of: dict[int, int] = {}
        for token, id_ in tokenizer.get_vocab(with_added_tokens=True).items():
            if match := _BYTE_TOKEN.fullmatch(token):
                self.byte_of[id_] = int(match[1], 16)

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read `folder/tokenizer.json`. Raises `CheckpointError`."""
        path = folder / "tokenizer.json"
        if not path.exists():
            raise CheckpointError(f"{path} does not exist: text needs the model's tokenizer")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{path} cannot be read: {error}") from error

    @cached_property
    def bytes_of(self) -> list[bytes]:
        """What each token adds to a text, by id; of a special token, its name."""
        return token_bytes(self.tokenizer)

    def holding(self, texts: Sequence[str]) -> frozenset[int]:
        """Tokens whose text holds one of `texts`; for a text that no token holds whole, the last
        token that spells it."""
        return frozenset().union(*(self._holding(text) for text in texts))

    @lru_cache(maxsize=256)  # noqa: B019
    def _holding(self, text: str) -> frozenset[int]:
        wanted = text.encode("utf-8")
        held = frozenset(id_ for id_, known in enumerate(self.bytes_of) if wanted in known)
        spelled = self.tokenizer.encode(text, add_special_tokens=False).ids
        return held or frozenset(spelled[-1:])

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each token stands for, by id, as the tokenizer's decoder would have it."""
    decoder = tokenizer.decoder
    state: Any = json.loads(decoder.__getstate__()) if decoder is not None else {"type": None}
    steps = state["decoders"] if state["type"] == "Sequence" else [state]
    by_byte = any(step["type"] == "ByteLevel" for step in steps)
    spaces = [
        (step["pattern"]["String"], step["content"])
        for step in steps
        if step["type"] == "Replace" and "String" in step["pattern"]
    ] + [(step["replacement"], " ") for step in steps if step["type"] == "Metaspace"]
    added = {id_: str(token) for id_, token in tokenizer.get_added_tokens_decoder().items()}
    alphabet = byte_level_alphabet() if by_byte else {}
    known = [b""] * tokenizer.get_vocab_size(with_added_tokens=True)
    for name, id_ in tokenizer.get_vocab(with_added_tokens=True).items():
        token = name
        if id_ in added:
            known[id_] = added[id_].encode("utf-8")
        elif match := _BYTE_TOKEN.fullmatch(token):
            known[id_] = bytes([int(match[1], 16)])
        elif by_byte and all(character in alphabet for character in token):
            known[id_] = bytes(alphabet[character] for character in token)
        else:
            for written, meant in spaces:
                token = token.replace(written, meant)
            known[id_] = token.encode("utf-8")
    return known


def byte_level_alphabet() -> dict[str, int]:
    """The characters that stand for bytes in GPT-2's vocabularies: printable bytes for themselves,
    the others, in order, from U+0100 on."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in itself]
    shifted = {chr(256 + place): byte for place, byte in enumerate(others)}
    return {chr(byte): byte for byte in itself} | shifted


class Detokenizer:
    """Text of one sequence as its tokens come."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._bytes = codecs.getincrementaldecoder("utf-8")(errors="replace")
        # Ids decoded together, for tokens whose text depends on the one before; those before
        # `_emitted` are out already and stand there as context only.
        self._window: list[int] = []
        self._emitted = 0

    def push(self, token: int) -> str:
        """Take the next token; returns the text that is now certain, perhaps none."""
        if token in self._vocabulary.special:
            return ""
        byte = self._vocabulary.byte_of.get(token)
        if byte is not None:
            before = self._flush_window()
            return before + self._bytes.decode(bytes([byte]))
        before = self._bytes.decode(b"", final=True)
        self._bytes.reset()
        self._window.append(token)
        text = self._vocabulary.decode(self._window)
        waiting = len(self._window) - self._emitted
        if text.endswith(REPLACEMENT) and waiting < _LONGEST_CHARACTER:
            return before
        return before + self._advance(text)

    def finish(self) -> str:
        """What was held back, when no more tokens come; broken bytes become U+FFFD."""
        rest = self._flush_window() + self._bytes.decode(b"", final=True)
        self._bytes.reset()
        return rest

    def _advance(self, text: str) -> str:
        known = self._vocabulary.decode(self._window[: self._emitted])
        self._window = self._window[self._emitted :]
        self._emitted = len(self._window)
        return text[len(known) :]

    def _flush_window(self) -> str:
        """Emit what waits. The emitted tokens stay as context for the next."""
        if len(self._window) == self._emitted:
            return ""
        return self._advance(self._vocabulary.decode(self._window))


class StopFinder:
    """Passes text on until a stop string appears; the stop string itself is not passed on."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        """Text that is certainly no part of a stop string. After one is found: always empty."""
        if self.found is not None or not self._stops:
            return text if self.found is None else ""
        self._held += text
        hits = [(self._held.find(s), -len(s), s) for s in self._stops if s in self._held]
        if hits:
            at, _, self.found = min(hits)
            passed, self._held = self._held[:at], ""
            return passed
        keep = max(_overlap(self._held, stop) for stop in self._stops)
        cut = len(self._held) - keep
        passed, self._held = self._held[:cut], self._held[cut:]
        return passed

    def finish(self) -> str:
        """What was held back, when no more text comes."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop` without completing it."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
