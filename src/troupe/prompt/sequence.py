"""A prompt's token ids as a sequence that is read from wherever one likes, with the hash of its
every block: at the cost of what is read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

from troupe.prompt.hashes import Stream


class TokenSequence(Sequence[int]):
    """The first `settled` ids of a stream, and those `behind` them. Stays what it is, whatever is
    added to the stream."""

    def __init__(self, stream: Stream, settled: int, behind: Sequence[int]) -> None:
        self.block = stream.block  # tokens that a hash is made for
        self._stream = stream
        self._settled = settled
        self._behind = behind

    def __len__(self) -> int:
        return self._settled + len(self._behind)

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids_from(0))

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> list[int]: ...

    def __getitem__(self, at: int | slice) -> int | list[int]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return self.ids_from(start)[: max(0, stop - start)][::step] if step > 0 else [*self][at]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        if place < self._settled:
            return self._stream.ids[place]
        return self._behind[place - self._settled]

    def ids_from(self, start: int) -> list[int]:
        """The ids behind the first `start`, at the cost of what is given."""
        ids = self._stream.ids[start : self._settled]
        ids += self._behind[max(0, start - self._settled) :]
        return ids

    def hash_to(self, length: int) -> bytes:
        """The hash of the first `length` ids, a multiple of `block` that is not 0: looked up, but
        for blocks that nobody has asked for."""
        place = length // self.block - 1
        whole = self._settled // self.block
        return self._stream.at(place) if place < whole else self._last[place - whole]

    @cached_property
    def _last(self) -> tuple[bytes, ...]:
        whole = self._settled // self.block
        return self._stream.hashes(self._settled, self._behind, whole)
