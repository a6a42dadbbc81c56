"""The messages of a conversation with their parts, tokens and sums, each made once. Pure.

A history only grows at its end; `upto` gives another that begins with the same, so that whoever
looks at this one goes on seeing what it saw. Called by `conversation.py`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from troupe.prompt.growing import Growing
from troupe.prompt.layout import Framed
from troupe.prompt.types import ChatMessage

Line = tuple[Framed, ...]  # what one message comes to


class History:
    """Lists that run side by side, an entry a message; the sums begin with 0."""

    def __init__(self, growing: Growing) -> None:
        self.messages: list[ChatMessage] = []
        self.lines: list[Line] = []
        self.growing = growing  # the messages' tokens, nothing before them
        self.marks = [growing.mark()]  # in exact mode, where each message ends
        self.ends = [0]  # tokens up to each message
        self.cuts = [0]  # of these, tokens that go when the boundary stands there
        self.pins: list[int] = []  # messages with a part that never goes
        self._floors = [_NONE]  # the lowest priority of parts that may go

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def floor(self) -> int:
        """The priority of the history: what has a higher one goes before it."""
        return 1 if self._floors[-1] == _NONE else self._floors[-1]

    def push(self, message: ChatMessage, line: Line) -> None:
        """Add a message."""
        growing = self.growing
        growing.push(line)
        if growing.exact:
            tokens = growing.tokens()
            self.marks.append(growing.mark())
        else:
            tokens = len(growing.stream.ids)
        size, floor = tokens - self.ends[-1], self._floors[-1]
        for one in line:
            priority = one.part.truncation_priority
            if not priority:
                size -= len(one.ids)
                if self.pins[-1:] != [len(self.messages)]:
                    self.pins.append(len(self.messages))
            elif priority < floor:
                floor = priority
        self.messages.append(message)
        self.lines.append(line)
        self.ends.append(tokens)
        self.cuts.append(self.cuts[-1] + max(0, size))
        self._floors.append(floor)

    def upto(self, at: int) -> History:
        """A history of its own of the first `at` messages."""
        if self.growing.exact:
            settled, characters = self.marks[at]
            other = History(self.growing.cut(settled, self.open_text(at, characters)))
        else:
            other = History(self.growing.cut(self.ends[at]))
        other.messages = self.messages[:at]
        other.lines = self.lines[:at]
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
            text = "".join(p for one in self.lines[at] for p in one.pieces if isinstance(p, str))
            pieces.append(text[-characters:])
            characters -= len(text)
        return "".join(reversed(pieces))

    def pinned(self, start: int) -> Line:
        """What stays of the messages before `start`."""
        before: Iterable[int] = self.pins[: bisect_left(self.pins, start)]
        return tuple(
            one for at in before for one in self.lines[at] if not one.part.truncation_priority
        )


_NONE = 1 << 62
