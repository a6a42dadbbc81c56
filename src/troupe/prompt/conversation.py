"""A conversation's side of its prompts, kept between turns: a turn costs its new messages. Pure.

`Conversation` holds each message's parts and tokens with their sums; `compile` puts what stands
before and after the history around what is kept of it. Not for use from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from troupe.prompt.bulk import Bulk
from troupe.prompt.compiled import CompiledPrompt, Shown
from troupe.prompt.data import plain, same
from troupe.prompt.errors import PromptTooLong
from troupe.prompt.fitting import fit, too_long
from troupe.prompt.growing import Growing
from troupe.prompt.hashes import BLOCK, Stream
from troupe.prompt.history import Entry, History, Line
from troupe.prompt.layout import Framer, Layout
from troupe.prompt.template import Template
from troupe.prompt.truncate import Truncation
from troupe.prompt.types import ChatFormat, ChatMessage, Tokenizer


@dataclass(slots=True)
class _Stem:
    """The beginning of the last prompt, up to the last message: it grows while nothing in it
    changes."""

    head: Line
    start: int
    pinned: Line
    base: int  # tokens before the history; meaningless in exact mode
    growing: Growing
    upto: int  # messages taken in


@dataclass(slots=True)
class _Around:
    """What one set of data put around the history."""

    data: dict[str, Any]
    head: Line
    tail: Line


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
        self._block = block
        self._index: dict[str, int] = {}
        self._line = partial(_line, template, self._framer)
        self._history = History(self._growing(), self._line)
        direct = None if self._framer.joined else template.direct
        self._bulk = Bulk(direct, self._framer) if direct else None
        self._stem: _Stem | None = None
        self._around: _Around | None = None
        self._held: _Around | None = None

    def __len__(self) -> int:
        return len(self._history)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._index

    def __iter__(self) -> Iterator[ChatMessage]:
        return iter(self._history.messages)

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The whole history."""
        return tuple(self._history.messages)

    @property
    def tokens(self) -> int:
        """How many tokens the whole history has."""
        return self._history.ends[-1]

    @property
    def token_ids(self) -> list[int]:
        """The whole history's tokens, role and end tokens included."""
        growing = self._history.whole()
        return [*growing.stream.ids, *growing.behind()]

    @property
    def ends(self) -> list[int]:
        """How many tokens there are up to the end of each message."""
        return self._history.ends[1:]

    @property
    def block_hashes(self) -> tuple[bytes, ...]:
        """Rolling hashes of the full blocks of `token_ids`."""
        growing = self._history.whole()
        return growing.stream.hashes(len(growing.stream), growing.behind())

    def append(self, message: ChatMessage) -> None:
        """Add a message at the end. Raises `ValueError` if its id is there already."""
        self.extend((message,))

    def extend(self, messages: Sequence[ChatMessage]) -> None:
        """Add messages at the end: many at once cost less than one by one. Raises `ValueError` if
        an id is there already, and adds none then."""
        ids = [message.id for message in messages]
        if len({*ids}) < len(ids) or not self._index.keys().isdisjoint(ids):
            twice = next(n for n, i in enumerate(ids) if i in self._index or i in ids[:n])
            raise ValueError(f"there is a message {ids[twice]!r} already")
        self._push(self._made(messages))

    def edit(self, message_id: str, message: ChatMessage) -> None:
        """Put `message` in the place of another. Raises `KeyError` and `ValueError`."""
        at = self._index[message_id]
        if self._index.get(message.id, at) != at:
            raise ValueError(f"there is a message {message.id!r} already")
        self._replace(at, [*self._made((message,)), *self._history.entries(at + 1)])

    def remove(self, message_id: str) -> None:
        """Take a message out. Raises `KeyError`."""
        at = self._index[message_id]
        self._replace(at, self._history.entries(at + 1))

    def update(self, messages: Sequence[ChatMessage]) -> None:
        """Become these messages, keeping what is the same at the beginning. Raises `ValueError`
        if an id stands twice."""
        self._become(0, messages)

    def follow(self, messages: Sequence[ChatMessage]) -> None:
        """Take in the newest messages from a caller that passes no others: what stands before the
        first of them stays. Where that is not known, nothing does. Raises `ValueError`."""
        self._become(self._index.get(messages[0].id, 0) if messages else 0, messages)

    def compile(
        self,
        data: Mapping[str, Any],
        limit: int,
        anchor: str | None = None,
        held: Mapping[str, Any] | None = None,
        whole: bool = True,
    ) -> CompiledPrompt:
        """The prompt for the next answer, in at most `limit` tokens.

        `anchor` and `held` are what the last turn's prompt said; an id that is not in the history
        counts as none. `whole` is false if the conversation is but the newest part of a longer
        one, of which the oldest messages go missing from turn to turn: then the prompt always has
        an anchor, and where it is missing too the history is cut by a step.

        Raises `PromptTooLong`, `TemplateError` and `DataError`.
        """
        old, new = self._both(data, held or {})
        before = self._index.get(anchor, -1) if anchor is not None else -1
        cut_now = before < 0 and not whole
        start = max(before, 0)
        if old is not new:
            with suppress(PromptTooLong):
                prompt = self._compiled(old, limit, start, cut_now, whole)
                if prompt.cut_messages == start:
                    return prompt
        return self._compiled(new, limit, start, cut_now, whole)

    def _both(self, data: Mapping[str, Any], held: Mapping[str, Any]) -> tuple[_Around, _Around]:
        """What stands around the history with the data that is held, and with all data new."""
        if self._around is None or not same(self._around.data, data):
            self._around = self._render(plain(data, self.template.name))
        new = self._around
        waiting = {name: held[name] for name in self._rule.waits if name in held}
        if same({**new.data, **waiting}, new.data):
            return new, new
        mixed = plain({**new.data, **waiting}, self.template.name)
        if self._held is None or not same(self._held.data, mixed):
            self._held = _Around(mixed, self._render(mixed).head, ())
        return _Around(mixed, self._held.head, new.tail), new

    def _render(self, data: dict[str, Any]) -> _Around:
        frame = self._framer.frame
        before, after = self.template.around(data)
        last = len(after) - 1
        return _Around(
            data,
            tuple(frame(part) for part in before),
            tuple(frame(part, n == last and part.role == "char") for n, part in enumerate(after)),
        )

    def _compiled(
        self, around: _Around, limit: int, start: int, cut_now: bool, whole: bool
    ) -> CompiledPrompt:
        begin, history = len(self._framer.begin), self._history
        spare = 0  # in exact mode, by how much sizes of parts were off
        while True:
            fitted = fit(
                around.head, around.tail, history, limit - begin - spare, start, self._rule, cut_now
            )
            stem = self._grown(fitted.head, fitted.start)
            settled = len(stem.growing.stream)
            behind = stem.growing.behind(fitted.tail)
            over = settled + len(behind) - limit
            if over <= 0:
                break
            if fitted.least or self._framer.joined is None:
                said = history.said(fitted.start, len(history))
                kept = [*stem.head, *stem.pinned, *said, *fitted.tail]
                raise too_long(over, limit, kept)
            spare += over
        start = fitted.start
        anchored = start > 0 or (not whole and len(history) > 0)
        shown = Shown(stem.head, stem.pinned, history, start, len(history), fitted.tail)
        waits = self._rule.waits
        return CompiledPrompt(
            shown,
            self._framer,
            stem.growing.stream,
            settled,
            behind,
            history.messages[start].id if anchored else None,
            {name: around.data[name] for name in waits if name in around.data},
        )

    def _grown(self, head: Line, start: int) -> _Stem:
        """The prompt up to the last message; what is there of the last one is kept."""
        stem, history = self._stem, self._history
        if stem is None or stem.start != start or stem.head != head:
            pinned = history.pinned(start)
            growing = self._growing()
            growing.stream.ids.extend(self._framer.begin)
            growing.push(head)
            growing.push(pinned)
            stem = _Stem(head, start, pinned, len(growing.stream), growing, start)
            self._stem = stem
        if stem.upto < len(history):
            history.push_onto(stem.growing, stem.upto)
            stem.upto = len(history)
        return stem

    def _growing(self) -> Growing:
        return Growing(Stream(block=self._block), self._framer.joined)

    def _made(self, messages: Sequence[ChatMessage]) -> list[Entry]:
        """What messages come to, each made anew."""
        said = self._bulk.encode(messages) if self._bulk else [None] * len(messages)
        return [
            (message, self._line(message) if one is None else one)
            for message, one in zip(messages, said, strict=True)
        ]

    def _push(self, entries: Sequence[Entry]) -> None:
        self._index.update(zip([message.id for message, _ in entries], count(len(self._history))))
        self._history.extend(entries)

    def _become(self, at: int, messages: Sequence[ChatMessage]) -> None:
        old = self._history.messages
        same_until = at
        for message in messages:
            if same_until == len(old):
                break
            if old[same_until] is not message and old[same_until] != message:
                break
            same_until += 1
        new = messages[same_until - at :]
        if len({m.id for m in new}) < len(new) or any(
            self._index.get(m.id, same_until) < same_until for m in new
        ):
            raise ValueError("a message's id stands twice")
        known = dict(self._history.entries(same_until))
        made = dict(self._made([m for m in new if m not in known]))
        self._replace(same_until, [(m, known[m] if m in known else made[m]) for m in new])

    def _replace(self, at: int, entries: Sequence[Entry]) -> None:
        """All that comes from `at` on. What others look at stays as it is."""
        if at < len(self._history):
            for gone in self._history.messages[at:]:
                del self._index[gone.id]
            self._cut_stem(at)
            self._history = self._history.upto(at)
        self._push(entries)

    def _cut_stem(self, at: int) -> None:
        stem = self._stem
        if stem is None:
            return
        if at < stem.start or self._framer.joined is not None:
            self._stem = None
        elif at < stem.upto:
            length = stem.base + self._history.ends[at] - self._history.ends[stem.start]
            growing = stem.growing.cut(length)
            self._stem = _Stem(stem.head, stem.start, stem.pinned, stem.base, growing, at)


def _line(template: Template, framer: Framer, message: ChatMessage) -> Line:
    return tuple([framer.frame(part) for part in template.message(message)])


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
    conversation.extend(tuple(history))
    return conversation.compile(data, limit, anchor)
