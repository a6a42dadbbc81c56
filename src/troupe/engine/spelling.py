"""A rendered chat template to token ids: what people wrote never becomes a special token.

Template and texts are tokenized apart. A tokenizer of SentencePiece's kind begins every text with a
space of its own, which would then stand between them; with one of those, what lies between two
special tokens is tokenized together, as `transformers` does. Called by `chat_template.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

_ANCHOR = "\n"  # no token of such a tokenizer goes across it


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a rendered template: its own words, or a text that was put in."""

    text: str
    put_in: bool
    message: int | None  # whose content it is; None: the template's own words, names, options


@dataclass(frozen=True, slots=True)
class Piece:
    """Ids of one stretch of a rendered template."""

    ids: Sequence[int]
    message: int | None  # as of `Part`


class Spelling:
    """How a tokenizer spells a template's parts."""

    def __init__(self, tokenizer: Tokenizer, plain: Tokenizer) -> None:
        """`plain` is the same tokenizer, to which special tokens are just text."""
        self._tokenizer, self._plain = tokenizer, plain
        added = tokenizer.get_added_tokens_decoder()
        self._special = {token.content: id_ for id_, token in added.items() if token.special}
        longest_first = sorted(self._special, key=len, reverse=True)
        self._between = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        alone, after = self._ids("a"), self._ids(_ANCHOR + "a")
        self._prepends = alone != after[-len(alone) :]
        self._everywhere = self._prepends and any(
            _after_special(tokenizer, name, id_) == alone for name, id_ in self._special.items()
        )

    def pieces(self, parts: Sequence[Part]) -> list[Piece]:
        """Ids of all parts, in their order."""
        if self._prepends:
            return list(self._together(parts))
        return [
            Piece(
                (self._plain if part.put_in else self._tokenizer)
                .encode(part.text, add_special_tokens=False)
                .ids,
                part.message,
            )
            for part in parts
        ]

    def _together(self, parts: Sequence[Part]) -> Iterator[Piece]:
        run: list[Part] = []
        first = True
        for part in parts:
            if part.put_in:
                run.append(part)
                continue
            start = 0
            for found in self._between.finditer(part.text):
                run.append(Part(part.text[start : found.start()], False, None))
                yield from self._run(run, first)
                yield Piece([self._special[found[0]]], None)
                run, first, start = [], False, found.end()
            run.append(Part(part.text[start:], False, None))
        yield from self._run(run, first)

    def _run(self, run: Sequence[Part], first: bool) -> Iterator[Piece]:
        """Parts between two special tokens, tokenized as one text; a token that goes across a
        border belongs to the part that it ends in."""
        text = "".join(part.text for part in run)
        if not text:
            return
        anchor = "" if first or self._everywhere else _ANCHOR
        encoded = self._plain.encode(anchor + text, add_special_tokens=False)
        skipped = len(self._ids(anchor)) if anchor else 0
        ends = [end - len(anchor) for _, end in encoded.offsets[skipped:]]
        ids, at, passed = encoded.ids[skipped:], 0, 0
        for part in run:
            passed += len(part.text)
            until = at
            while until < len(ids) and (ends[until] <= passed or part is run[-1]):
                until += 1
            if until > at:
                yield Piece(ids[at:until], part.message)
            at = until

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids


def _after_special(tokenizer: Tokenizer, name: str, id_: int) -> list[int] | None:
    """Ids of `a` right after a special token; None if that is none to this tokenizer."""
    ids: list[int] = tokenizer.encode(f"{name}a", add_special_tokens=False).ids
    return ids[1:] if ids[:1] == [id_] else None
