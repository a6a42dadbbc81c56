"""The messages of a conversation with their parts, tokens and sums, each made once. Pure.

A history only grows at its end; `upto` gives another that begins with the same, so that whoever
looks at this one goes on seeing what it saw. Called by `conversation.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from troupe.prompt.growing import Growing
from troupe.prompt.layout import Framed
from troupe.prompt.types import ChatMessage

Line = tuple[Framed, ...]  # what one message comes to


class Said(NamedTuple):
    """The tokens of a message that may go as a whole: its parts are made when they are asked for.
    `floor` is their lowest priority."""

    pieces: Sequence[Sequence[int]]
    tokens: int
    floor: int


Entry = tuple[ChatMessage, Line | Said]


class History:
    """Lists that run side by side, an entry a message; the sums begin with 0."""

    def __init__(self, growing: Growing, line_of: Callable[[ChatMessage], Line]) -> None:
        self.messages: list[ChatMessage] = []
        self.marks = [growing.mark()]  # in exact mode, where each message ends
        self.ends = [0]  # tokens up to each message
        self.cuts = [0]  # of these, tokens that go when the boundary stands there
        self.pins: list[int] = []  # messages with a part that never goes
        self._floors = [_NONE]  # the lowest priority of parts that may go
        self._said: list[Line | Said] = []
        self._growing = growing
        self._grown = 0  # messages whose tokens are in it; in exact mode all
        self._line_of = line_of

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def floor(self) -> int:
        """The priority of the history: what has a higher one goes before it."""
        return 1 if self._floors[-1] == _NONE else self._floors[-1]

    def extend(self, entries: Sequence[Entry]) -> None:
        """Add messages; in exact mode with their lines."""
        tokens, cut, floor = self.ends[-1], self.cuts[-1], self._floors[-1]
        for message, said in entries:
            if isinstance(said, Said):
                tokens += said.tokens
                cut += said.tokens
                floor = min(floor, said.floor)
            else:
                before, tokens = tokens, self._ending(said)
                cut += max(0, tokens - before - self._firm(said))
                floor = min([floor, *(p for one in said if (p := one.part.truncation_priority))])
            self.messages.append(message)
            self._said.append(said)
            self.ends.append(tokens)
            self.cuts.append(cut)
            self._floors.append(floor)

    def _ending(self, line: Line) -> int:
        """How many tokens there are with this line at the end."""
        growing = self._growing
        if not growing.exact:
            return self.ends[-1] + sum([len(one.ids) for one in line])
        growing.push(line)
        self._grown += 1
        self.marks.append(growing.mark())
        return growing.tokens()

    def _firm(self, line: Line) -> int:
        """How many tokens of a new line never go."""
        firm = [len(one.ids) for one in line if not one.part.truncation_priority]
        if firm:
            self.pins.append(len(self.messages))
        return sum(firm)

    def entries(self, start: int) -> list[Entry]:
        """What there is from a message on."""
        return list(zip(self.messages[start:], self._said[start:], strict=True))

    def whole(self) -> Growing:
        """The tokens of all messages, nothing before them."""
        self.push_onto(self._growing, self._grown)
        self._grown = len(self)
        return self._growing

    def push_onto(self, growing: Growing, start: int) -> None:
        """Add the messages from `start` on to what grows."""
        if growing.exact:
            growing.push(self.said(start, len(self)))
            return
        ids = growing.stream.ids
        for said in self._said[start:]:
            if isinstance(said, Said):
                for piece in said.pieces:
                    ids += piece
            else:
                growing.push(said)

    def line(self, at: int) -> Line:
        """What a message comes to."""
        said = self._said[at]
        if isinstance(said, Said):
            said = self._said[at] = self._line_of(self.messages[at])
        return said

    def said(self, start: int, end: int) -> Iterator[Framed]:
        """The parts of the messages from `start` to `end`."""
        return (one for at in range(start, end) for one in self.line(at))

    def upto(self, at: int) -> History:
        """A history of its own of the first `at` messages."""
        if self._growing.exact:
            grown = at
            settled, characters = self.marks[at]
            growing = self._growing.cut(settled, self.open_text(at, characters))
        else:
            grown = min(at, self._grown)
            growing = self._growing.cut(self.ends[grown])
        other = History(growing, self._line_of)
        other._grown = grown
        other.messages = self.messages[:at]
        other._said = self._said[:at]
        other.marks = self.marks[: at + 1]
        other.ends = self.ends[: at + 1]
        other.cuts = self.cuts[: at + 1]
        other.pins = self.pins[: bisect_left(self.pins, at)]
        other._floors = self._floors[: at + 1]
        return other

    def open_text(self, at: int, characters: int) -> str:
        """The last so many characters of the text of the first `at` messages."""
        pieces: list[str] = []
        while characters > 0:
            at -= 1
            text = "".join(p for one in self.line(at) for p in one.pieces if isinstance(p, str))
            pieces.append(text[-characters:])
            characters -= len(text)
        return "".join(reversed(pieces))

    def pinned(self, start: int) -> Line:
        """What stays of the messages before `start`."""
        before: Iterable[int] = self.pins[: bisect_left(self.pins, start)]
        return tuple(
            one for at in before for one in self.line(at) if not one.part.truncation_priority
        )


_NONE = 1 << 62
