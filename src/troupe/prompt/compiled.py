"""What a compilation gives: its size and cut at once, the rest when it is asked for. Pure.

A prompt is a view of what its conversation keeps. What it looks at only ever grows at its end, so
that a prompt stays what it was whatever becomes of the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from troupe.prompt.formats.messages import stops, to_messages
from troupe.prompt.growing import Growing
from troupe.prompt.hashes import Stream, common_prefix
from troupe.prompt.history import History
from troupe.prompt.layout import Framed, Framer
from troupe.prompt.sequence import TokenSequence
from troupe.prompt.types import ChatFormat, Part


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of a prompt, in order: before the history, kept from before its boundary, the
    history from `start` to `end`, and behind it."""

    head: tuple[Framed, ...]
    pinned: tuple[Framed, ...]
    history: History
    start: int
    end: int
    tail: tuple[Framed, ...]

    def framed(self) -> list[Framed]:
        """All of them."""
        said = self.history.said(self.start, self.end)
        return [*self.head, *self.pinned, *said, *self.tail]


class CompiledPrompt:
    """A prompt for one answer. Exactly one of `token_ids` and `messages` is given.

    `anchor` is the id of the first message kept, or None while nothing is cut, and `held` what
    data stands before the history in place of newer: hand both to the next turn. `tokens` is how
    many there are, estimated where the model's tokenizer is not known.
    """

    def __init__(
        self,
        shown: Shown,
        framer: Framer,
        stream: Stream,
        settled: int,
        behind: list[int],
        anchor: str | None,
        held: Mapping[str, Any],
    ) -> None:
        self.anchor = anchor
        self.held = held
        self.cut_messages = shown.start
        self.tokens = settled + len(behind)
        self._shown = shown
        self._framer = framer
        self._stream = stream
        self._settled = settled
        self._behind = behind

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """All parts, what was cut left out."""
        return tuple(framed.part for framed in self._shown.framed())

    @cached_property
    def token_ids(self) -> list[int] | None:
        """The prompt of a model that takes token ids."""
        if self._framer.chat_format is not ChatFormat.TOKENS:
            return None
        return self.ids_from(0)

    @cached_property
    def sequence(self) -> TokenSequence | None:
        """The same, to be read from anywhere at the cost of what is read."""
        if self._framer.chat_format is not ChatFormat.TOKENS:
            return None
        return TokenSequence(self._stream, self._settled, self._behind)

    @cached_property
    def messages(self) -> list[dict[str, Any]] | None:
        """The prompt of a model that takes OpenAI messages."""
        return None if self._framer.chat_format is ChatFormat.TOKENS else to_messages(self.parts)

    @cached_property
    def stop(self) -> tuple[str, ...]:
        """Strings at which a model that takes messages should stop."""
        return () if self._framer.chat_format is ChatFormat.TOKENS else stops(self.parts)

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Tokens by part name; together all but those that begin the prompt. In exact mode a token
        counts for the part that it ends in."""
        counts: dict[str, int] = {}
        growing = Growing(Stream(), self._framer.joined)
        before = 0
        for one in self._shown.framed():
            growing.push([one])
            upto = growing.tokens()
            counts[one.part.name] = counts.get(one.part.name, 0) + upto - before
            before = upto
        return counts

    @cached_property
    def block_hashes(self) -> tuple[bytes, ...]:
        """Rolling hashes of the full blocks: each covers all tokens up to the end of its block."""
        return self._stream.hashes(self._settled, self._behind)

    def ids_from(self, start: int) -> list[int]:
        """The token ids behind the first `start`, at the cost of what is given."""
        ids = self._stream.ids[start : self._settled]
        ids += self._behind[max(0, start - self._settled) :]
        return ids

    def hashes_from(self, block: int) -> tuple[bytes, ...]:
        """The hashes of full blocks behind the first `block`, at the cost of those that are new."""
        return self._stream.hashes(self._settled, self._behind, block)

    def shares(self, earlier: CompiledPrompt) -> int:
        """How many tokens this prompt begins with as an earlier one did: at the cost of what is
        new, if it is the same conversation's and nothing before that has changed."""
        known = 0
        if self._stream is earlier._stream:
            known = min(self._settled, earlier._settled)
        return known + common_prefix(self.ids_from(known), earlier.ids_from(known))
