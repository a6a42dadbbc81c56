"""A conversation's side of its prompts, kept between turns: a turn costs its new messages. Pure.

`Conversation` holds each message's parts and tokens with their sums; `compile` puts what stands
before and after the history around what is kept of it. Not for use from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from troupe.prompt.errors import PromptTooLong
from troupe.prompt.hashes import BLOCK, BlockHashes
from troupe.prompt.layout import Framer, Layout, stops, to_messages
from troupe.prompt.template import Template
from troupe.prompt.truncate import Truncation, first_kept
from troupe.prompt.types import ChatFormat, ChatMessage, CompiledPrompt, Part, Tokenizer


@dataclass(frozen=True, slots=True)
class _Framed:
    """A part and its token ids."""

    part: Part
    token_ids: tuple[int, ...]


class Conversation:
    """The messages of one conversation, as one template and one model see them.

    conversation = Conversation(template, tokenizer, ChatFormat.TOKENS)
    conversation.append(ChatMessage("1", "user", "Ada", "Hello!"))
    prompt = conversation.compile(data, limit=1024, anchor=None)
    """

    def __init__(
        self,
        template: Template,
        tokenizer: Tokenizer,
        chat_format: ChatFormat,
        layout: Layout | None = None,
        truncation: Truncation | None = None,
        block: int = BLOCK,
    ) -> None:
        """Raises `TokenizerError` if the tokenizer lacks a token of the layout."""
        self.template = template
        self._framer = Framer(tokenizer, chat_format, layout or Layout())
        self._rule = truncation or Truncation()
        self._hashes = BlockHashes(block)
        self._messages: list[ChatMessage] = []
        self._index: dict[str, int] = {}
        self._framed: list[tuple[_Framed, ...]] = []
        self._ids: list[int] = []
        self._ends = [0]  # tokens up to each message
        self._cuts = [0]  # of these, tokens that go when the boundary stands there

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The whole history."""
        return tuple(self._messages)

    @property
    def token_ids(self) -> list[int]:
        """The whole history's tokens, role and end tokens included."""
        return list(self._ids)

    @property
    def ends(self) -> list[int]:
        """Where each message ends in `token_ids`."""
        return self._ends[1:]

    def append(self, message: ChatMessage) -> None:
        """Add a message at the end. Raises `ValueError` if its id is there already."""
        if message.id in self._index:
            raise ValueError(f"there is a message {message.id!r} already")
        parts = self.template.message(message)
        framed = tuple(_Framed(part, self._framer.frame(part)) for part in parts)
        self._index[message.id] = len(self._messages)
        self._messages.append(message)
        self._framed.append(framed)
        for one in framed:
            self._ids.extend(one.token_ids)
        self._ends.append(len(self._ids))
        may_go = sum(len(f.token_ids) for f in framed if f.part.truncation_priority)
        self._cuts.append(self._cuts[-1] + may_go)

    def edit(self, message_id: str, message: ChatMessage) -> None:
        """Put `message` in the place of another. Raises `KeyError` and `ValueError`."""
        at = self._index[message_id]
        if self._index.get(message.id, at) != at:
            raise ValueError(f"there is a message {message.id!r} already")
        self._replace_from(at, [message, *self._messages[at + 1 :]])

    def remove(self, message_id: str) -> None:
        """Take a message out. Raises `KeyError`."""
        at = self._index[message_id]
        self._replace_from(at, self._messages[at + 1 :])

    def update(self, messages: Sequence[ChatMessage]) -> None:
        """Become these messages, keeping what is the same at the beginning."""
        same = 0
        for old, new in zip(self._messages, messages, strict=False):
            if old is not new and old != new:
                break
            same += 1
        self._replace_from(same, messages[same:])

    def _replace_from(self, at: int, messages: Sequence[ChatMessage]) -> None:
        for gone in self._messages[at:]:
            del self._index[gone.id]
        del self._messages[at:], self._framed[at:]
        del self._ends[at + 1 :], self._cuts[at + 1 :]
        del self._ids[self._ends[at] :]
        for message in messages:
            self.append(message)

    def compile(
        self, data: Mapping[str, Any], limit: int, anchor: str | None = None
    ) -> CompiledPrompt:
        """The prompt for the next answer, in at most `limit` tokens.

        `anchor` is what the last turn's prompt said; an id that is not in the history counts as
        none. Raises `PromptTooLong`, `TemplateError` and `DataError`.
        """
        framer = self._framer
        head = [_Framed(part, framer.frame(part)) for part in self.template.head(data)]
        after = self.template.tail(data)
        tail = [
            _Framed(part, framer.frame(part, n == len(after) - 1 and part.role == "char"))
            for n, part in enumerate(after)
        ]
        head, tail = self._fitted(head, tail, limit)
        budget = limit - len(framer.begin) - _size(head) - _size(tail)
        before = self._index.get(anchor, 0) if anchor is not None else 0
        start = first_kept(self._cuts, self._ends[-1], budget, before, self._rule)
        history, history_ids = self._kept(start)
        kept = [*head, *history, *tail]
        ids = [*framer.begin, *_ids(head), *history_ids, *_ids(tail)]
        if len(ids) > limit:
            raise _too_long(len(ids) - limit, limit, kept)
        return self._result(kept, ids, start)

    def _fitted(
        self, head: list[_Framed], tail: list[_Framed], limit: int
    ) -> tuple[list[_Framed], list[_Framed]]:
        """Without parts that may go, highest priority first, if the newest messages would not fit
        beside them. The order of what stays never changes."""
        last = max(0, len(self._messages) - self._rule.newest)
        least = len(self._framer.begin) + self._ends[-1] - self._cuts[last]
        over = least + _size(head) + _size(tail) - limit
        loose = [f for f in (*head, *tail[:-1]) if f.part.truncation_priority]
        gone: set[int] = set()
        for framed in sorted(loose, key=lambda f: -f.part.truncation_priority):
            if over <= 0:
                break
            gone.add(id(framed))
            over -= len(framed.token_ids)
        return [f for f in head if id(f) not in gone], [f for f in tail if id(f) not in gone]

    def _kept(self, start: int) -> tuple[list[_Framed], list[int]]:
        """What stays with the boundary at `start`: what may not go, and all from there on."""
        pinned = [
            framed
            for framed in chain.from_iterable(self._framed[:start])
            if not framed.part.truncation_priority
        ]
        kept = [*pinned, *chain.from_iterable(self._framed[start:])]
        return kept, [*_ids(pinned), *self._ids[self._ends[start] :]]

    def _result(self, kept: list[_Framed], ids: list[int], start: int) -> CompiledPrompt:
        parts = tuple(framed.part for framed in kept)
        counts: dict[str, int] = {}
        for framed in kept:
            name = framed.part.name
            counts[name] = counts.get(name, 0) + len(framed.token_ids)
        as_tokens = self._framer.chat_format is ChatFormat.TOKENS
        return CompiledPrompt(
            parts=parts,
            token_ids=ids if as_tokens else None,
            messages=None if as_tokens else to_messages(parts),
            anchor=self._messages[start].id if start else None,
            cut_messages=start,
            tokens=len(ids),
            counts=counts,
            block_hashes=self._hashes.update(ids),
            stop=() if as_tokens else stops(parts),
        )


def compile_prompt(
    template: Template,
    data: Mapping[str, Any],
    history: Iterable[ChatMessage],
    tokenizer: Tokenizer,
    chat_format: ChatFormat,
    limit: int,
    anchor: str | None = None,
) -> CompiledPrompt:
    """One prompt from nothing. Where turns follow one another, keep a `Conversation` instead."""
    conversation = Conversation(template, tokenizer, chat_format)
    for message in history:
        conversation.append(message)
    return conversation.compile(data, limit, anchor)


def _size(framed: Iterable[_Framed]) -> int:
    return sum(len(one.token_ids) for one in framed)


def _ids(framed: Iterable[_Framed]) -> list[int]:
    return [token for one in framed for token in one.token_ids]


def _too_long(over: int, limit: int, kept: Sequence[_Framed]) -> PromptTooLong:
    largest = max(kept, key=lambda framed: len(framed.token_ids))
    return PromptTooLong(over, limit, largest.part.name, len(largest.token_ids))
