"""Two templates over the same data: how they read, and where their tokens part. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from troupe.prompt.layout import Framer, Layout
from troupe.prompt.template import Template
from troupe.prompt.tools.inputs import Inputs
from troupe.prompt.tools.inspected import format_for
from troupe.prompt.tools.simulate import common
from troupe.prompt.types import ChatFormat, Part, Tokenizer

_AROUND = 60  # characters that are shown of each text where they part


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the tokens of two prompts part. `common` tokens are the same; then comes `mine`, in
    the part `part`, where the other has `other`; both empty if there is no more."""

    common: int
    tokens: int
    other_tokens: int
    part: str
    mine: str
    other: str

    @property
    def same(self) -> bool:
        """Whether the prompts are equal."""
        return self.common == self.tokens == self.other_tokens


def readable(template: Template, inputs: Inputs) -> list[str]:
    """The parts as lines for people, each part under its name, role and priority."""
    return [line for part in template.render(inputs.data, inputs.history) for line in _lines(part)]


def diff(one: Template, other: Template, inputs: Inputs) -> list[str]:
    """A unified diff of the two, as they read; nothing if they read the same."""
    mine, theirs = readable(one, inputs), readable(other, inputs)
    return list(difflib.unified_diff(mine, theirs, one.name, other.name, lineterm=""))


def parting(one: Template, other: Template, inputs: Inputs, tokenizer: Tokenizer) -> Parting:
    """Where the token prefixes part."""
    mine, theirs = _framed(one, inputs, tokenizer), _framed(other, inputs, tokenizer)
    ids, other_ids = (
        [token for _, tokens in framed for token in tokens] for framed in (mine, theirs)
    )
    same = common(ids, other_ids)
    part, text = _at(mine, same, tokenizer)
    their_part, other_text = _at(theirs, same, tokenizer)
    return Parting(same, len(ids), len(other_ids), part or their_part, text, other_text)


def _lines(part: Part) -> Iterator[str]:
    priority = f", priority {part.truncation_priority}" if part.truncation_priority else ""
    yield f"[{part.name}, {part.role}{priority}]"
    if part.speaker:
        yield f"{part.speaker}:"
    yield from (part.text.split("\n") if part.text else [])


def _framed(
    template: Template, inputs: Inputs, tokenizer: Tokenizer
) -> list[tuple[Part, list[int]]]:
    """Parts with tokens that show where texts differ: for messages, those of their texts."""
    parts = template.render(inputs.data, inputs.history)
    if format_for(tokenizer) is ChatFormat.MESSAGES:
        return [(part, tokenizer.encode(f"{part.role}\n{part.content}\n")) for part in parts]
    framer = Framer(tokenizer, ChatFormat.TOKENS, Layout())
    last = len(parts) - 1
    return [
        (part, list(framer.frame(part, n == last and part.role == "char").ids))
        for n, part in enumerate(parts)
    ]


def _at(framed: list[tuple[Part, list[int]]], place: int, tokenizer: Tokenizer) -> tuple[str, str]:
    """The part at a token's place, and what follows there."""
    for part, tokens in framed:
        if place < len(tokens):
            return part.name, tokenizer.decode(tokens[place:])[:_AROUND]
        place -= len(tokens)
    return "", ""
