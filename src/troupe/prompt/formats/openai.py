"""OpenAI messages with their price in tokens. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from troupe.prompt.attachments import Image
from troupe.prompt.formats.messages import MAX_NAME, Names, stops, to_messages
from troupe.prompt.formats.rendered import Encode, Rendered, counted
from troupe.prompt.segments import Segments
from troupe.prompt.types import Part, Tokenizer

_UNNAMEABLE = re.compile(r"[\s<|\\/>]+")  # what a message's name may not hold, by OpenAI's API


@dataclass(frozen=True, slots=True)
class Overhead:
    """Tokens around the texts, as OpenAI's cookbook counts them for its chat models ("How to count
    tokens with tiktoken"): for each message, for each name, and for the answer's beginning."""

    message: int = 3
    name: int = 1
    reply: int = 3


@dataclass(frozen=True, slots=True)
class OpenAIMessages:
    """Chat messages. Counts are exact where `tokenizer` is the model's own and `overhead` what its
    server adds; a picture costs what the caller says."""

    tokenizer: Tokenizer
    names: Names = Names.PREFIX
    overhead: Overhead = field(default_factory=Overhead)

    def render(self, parts: Sequence[Part]) -> Rendered:
        """The messages. Images and calls of tools stand among them as the API wants them."""
        encode = Segments(self.tokenizer).encode
        messages = [_named(message) for message in to_messages(parts, self.names)]
        tokens = self.overhead.reply + sum(self._cost(encode, message) for message in messages)
        images = (one for part in parts for one in part.attachments if isinstance(one, Image))
        tokens += sum(image.tokens for image in images)
        counts = counted(parts, encode)
        return Rendered(
            tokens=tokens,
            overhead=tokens - sum(counts.values()),
            counts=counts,
            messages=messages,
            stop=stops(parts),
        )

    def _cost(self, encode: Encode, message: dict[str, Any]) -> int:
        named = self.overhead.name if "name" in message else 0
        return (
            self.overhead.message + named + sum(_size(encode, value) for value in message.values())
        )


def _named(message: dict[str, Any]) -> dict[str, Any]:
    """The message with a name that the API takes."""
    if "name" not in message:
        return message
    return {**message, "name": _UNNAMEABLE.sub("_", message["name"])[:MAX_NAME]}


def _size(encode: Encode, value: Any) -> int:
    """Tokens of all texts within a value of a message, but those that only say its form."""
    if isinstance(value, str):
        return len(encode(value))
    if isinstance(value, list):
        return sum(_size(encode, item) for item in value)
    inner = {k: v for k, v in value.items() if k not in ("type", "id", "image_url")}
    return sum(_size(encode, item) for item in inner.values())
