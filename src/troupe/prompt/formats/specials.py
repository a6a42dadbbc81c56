"""The added tokens of a `tokenizer.json` (`<|im_end|>`, `<think>`), which only a chat template may
make, never a value. Pure.

A value keeps its length and its white space while a chat template looks at it, so that trimming and
slicing do what they always do: of a text that reads like an added token one character is veiled,
which `encode` puts back once the template's own tokens have been found.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer as _Tokenizer

from troupe.prompt.errors import TokenizerError
from troupe.prompt.formats.lasting import Lasting
from troupe.prompt.segments import Segments
from troupe.prompt.tokenizers import CallableTokenizer, guarded

_PRIVATE = range(0xE000, 0xF900)
_PRIVATE_FOUND = re.compile("[\ue000-\uf8ff]")


class AddedTokens:
    """A tokenizer that makes added tokens of a chat template's text and of no other."""

    def __init__(self, source: str | bytes, template: str = "") -> None:
        """`source` is the text of a `tokenizer.json`, `template` that of the chat template. Raises
        `TokenizerError`."""
        self._plain, self.ids = guarded(source)
        self._marked = _Marked(source, self.ids)
        text = source.decode() if isinstance(source, bytes) else source
        whole: _Tokenizer = _Tokenizer.from_str(text)
        whole.no_truncation()
        whole.no_padding()
        longest_first = sorted(self.ids, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._edges = _Edges.between(template, self.ids)
        self._longest = max(map(len, self.ids), default=0)
        self._whole = Lasting(whole, self.ids.values(), self._longest)
        self._segments = Segments(CallableTokenizer(self._encode_plain))

    def plain(self, text: str) -> Sequence[int]:
        """Token ids of a text; never an added token."""
        return self._segments.encode(text)

    def _encode_plain(self, text: str) -> list[int]:
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids

    def encode(self, text: str, veil: Veil) -> list[int]:
        """Token ids of what a chat template rendered: those of the text as a whole, with added
        tokens wherever the template wrote them."""
        if not veil.used:
            return self._whole.encode(text)
        return self._marked.encode(
            "".join(
                self._marked.names.get(piece) or veil.lifted(piece) for piece in self._split(text)
            )
        )

    def _split(self, text: str) -> Iterator[str]:
        """Added tokens, and what stands between them."""
        last = 0
        for found in self._pattern.finditer(text):
            yield text[last : found.start()]
            yield found[0]
            last = found.end()
        yield text[last:]

    def veiled(self, value: str, veil: Veil) -> str:
        """`value` with a character veiled in each text that is an added token, or that could
        become one beside the template's text."""
        places = {found.start() for found in self._pattern.finditer(value)}
        # An occurrence may begin within another; each turn takes at least one away.
        while True:
            value = "".join(veil.put(c) if n in places else c for n, c in enumerate(value))
            places = {found.start() for found in self._pattern.finditer(value)}
            if not places:
                break
        core = value.strip()
        if not core:
            return value
        start = value.index(core)
        end = start + len(core) - 1
        sizes = range(1, min(len(core), self._longest) + 1)
        if core in self._edges.wholes or any(core[:n] in self._edges.starts for n in sizes):
            value = value[:start] + veil.put(value[start]) + value[start + 1 :]
        if any(core[-n:] in self._edges.ends for n in sizes):
            value = value[:end] + veil.put(value[end]) + value[end + 1 :]
        return value


class _Marked:
    """The same tokenizer, whose added tokens have names that nobody can guess: so that a whole text
    can be tokenized at once in which some people wrote the old names."""

    def __init__(self, source: str | bytes, ids: Mapping[str, int]) -> None:
        nonce = secrets.token_hex(8)
        settings = json.loads(source)
        kept = {}
        self.names: dict[str, str] = {}
        for token in settings.get("added_tokens") or []:
            name = token["content"]
            if name in ids:
                self.names[name] = token["content"] = f"\U000f0000{nonce}:{ids[name]}\U000f0001"
            kept[token["content"]] = token["id"]
        tokenizer: _Tokenizer = _Tokenizer.from_str(json.dumps(settings))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # Under a new name a token may have a new id.
        now = {name: tokenizer.token_to_id(name) for name in kept}
        self._ids = {id_: kept[name] for name, id_ in now.items() if id_ is not None}
        marked = [id_ for id_, old in self._ids.items() if old in ids.values()]
        longest = max(map(len, self.names.values()), default=0)
        self._lasting = Lasting(tokenizer, marked, longest)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text with marked names in it, those of the tokenizer that it was."""
        ids = self._lasting.encode(text)
        return [self._ids.get(id_, id_) for id_ in ids]


class Veil:
    """Characters that stand for others while a template looks at a text; none of them is anywhere
    in `texts`."""

    def __init__(self, texts: Iterable[str]) -> None:
        taken = set(_PRIVATE_FOUND.findall("\n".join(texts)))
        self._free = (chr(n) for n in _PRIVATE if chr(n) not in taken)
        self._stands: dict[str, str] = {}
        self._means: dict[int, str] = {}

    @property
    def used(self) -> bool:
        """Whether any character was veiled."""
        return bool(self._stands)

    def fresh(self) -> str:
        """A character that is nowhere else. Raises `TokenizerError` if a text holds them all."""
        for character in self._free:
            return character
        raise TokenizerError("the texts use every private character there is")

    def put(self, character: str) -> str:
        """What stands for `character`."""
        if ord(character) in self._means:
            return character
        if character not in self._stands:
            self._stands[character] = self.fresh()
            self._means[ord(self._stands[character])] = character
        return self._stands[character]

    def is_veiled(self, character: str) -> bool:
        """Whether it stands for another."""
        return ord(character) in self._means

    def lifted(self, text: str) -> str:
        """`text` as it was."""
        return text.translate(self._means) if self._means else text


@dataclass(frozen=True, slots=True)
class _Edges:
    """Pieces of added tokens that a chat template's own text beside a value would complete."""

    starts: frozenset[str]  # at the beginning of a value
    ends: frozenset[str]  # at its end
    wholes: frozenset[str]  # all of it

    @classmethod
    def between(cls, source: str, names: Iterable[str]) -> _Edges:
        """Those that the template's `source` could complete: it has the token's beginning before a
        quotation mark or a brace, or its end after one."""
        starts: set[str] = set()
        ends: set[str] = set()
        wholes: set[str] = set()
        for name in names:
            inner = range(1, len(name))
            heads = [n for n in inner if re.search(re.escape(name[:n]) + "[\"'{]", source)]
            tails = [n for n in inner if re.search("[\"'}]" + re.escape(name[n:]), source)]
            starts.update(name[n:] for n in heads)
            ends.update(name[:n] for n in tails)
            wholes.update(name[a:b] for a in heads for b in tails if a < b)
        return cls(frozenset(starts), frozenset(ends), frozenset(wholes))


def strings_of(value: Any) -> Iterator[str]:
    """All texts within plain data, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_of(key)
            yield from strings_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings_of(item)
