"""A prompt in one chat format, with what it costs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from troupe.prompt.types import Part


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a model is given: `text`, `messages` or both, and `token_ids` where they are known.

    `tokens` is the whole price, of which `overhead` is what the format puts around the parts' own
    texts, names of speakers included. `counts` gives the texts' tokens by part name.
    """

    tokens: int
    overhead: int
    counts: Mapping[str, int]
    text: str | None = None
    messages: list[dict[str, Any]] | None = None
    token_ids: list[int] | None = None
    stop: tuple[str, ...] = ()


class Format(Protocol):
    """A chat format: parts in, what a model is given out. Raises `FormatError`."""

    def render(self, parts: Sequence[Part]) -> Rendered: ...


class Encode(Protocol):
    """Text to token ids."""

    def __call__(self, text: str, /) -> Sequence[int]: ...


def counted(parts: Sequence[Part], encode: Encode) -> dict[str, int]:
    """Tokens of the parts' own texts without their speakers, by part name."""
    counts: dict[str, int] = {}
    for part in parts:
        counts[part.name] = counts.get(part.name, 0) + len(encode(part.text))
    return counts
