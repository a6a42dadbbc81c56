"""A prompt's beginning while it grows at its end: token ids, and in exact mode the text whose
tokens are not settled yet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from troupe.prompt.exact import Joined
from troupe.prompt.hashes import Stream
from troupe.prompt.layout import Framed


class Mark(NamedTuple):
    """A place between two parts: how many tokens are settled before it, and how many characters
    of text are open behind them."""

    settled: int
    open: int


class Growing:
    """What was pushed stays as it is; `cut` gives another that begins with the same."""

    __slots__ = ("_joined", "stream", "text")

    def __init__(self, stream: Stream, joined: Joined | None = None, text: str = "") -> None:
        self.stream = stream
        self.text = text
        self._joined = joined

    @property
    def exact(self) -> bool:
        """Whether tokens may span parts."""
        return self._joined is not None

    def push(self, framed: Iterable[Framed]) -> None:
        """Add parts."""
        ids = self.stream.ids
        if self._joined is None:
            for one in framed:
                ids.extend(one.ids)
            return
        for text, given in _runs(self.text, framed):
            if given is None:
                settled, self.text = self._joined.split(text)
                for piece in settled:
                    ids.extend(self._joined.encode(piece))
            else:
                ids.extend(self._joined.encode(text))
                ids.extend(given)
                self.text = ""

    def behind(self, framed: Iterable[Framed] = ()) -> list[int]:
        """The tokens behind those settled, with these parts at the end."""
        if self._joined is None:
            return [token for one in framed for token in one.ids]
        ids: list[int] = []
        for text, given in _runs(self.text, framed):
            ids.extend(self._joined.encode(text))
            ids.extend(given or ())
        return ids

    def mark(self) -> Mark:
        """Where it ends now."""
        return Mark(len(self.stream), len(self.text))

    def tokens(self) -> int:
        """How many tokens it has, if nothing more comes."""
        return len(self.stream) + len(self.behind())

    def cut(self, settled: int, text: str = "") -> Growing:
        """One that ends behind so many settled tokens and this open text; this one stays as it
        is."""
        return Growing(self.stream.cut(settled), self._joined, text)


def _runs(text: str, framed: Iterable[Framed]) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    """Texts as long as they go on, each but the last with the given tokens that end it."""
    texts = [text]
    for one in framed:
        for piece in one.pieces:
            if isinstance(piece, str):
                texts.append(piece)
            else:
                yield "".join(texts), piece
                texts = []
    yield "".join(texts), None
