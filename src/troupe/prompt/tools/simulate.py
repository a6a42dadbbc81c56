"""A chat that is simulated, to see how much of each prompt the last one began with. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from troupe.prompt.conversation import Conversation
from troupe.prompt.template import Template
from troupe.prompt.tools.words import WordTokenizer
from troupe.prompt.types import ChatFormat, ChatMessage

BEFORE = 40  # messages before the first prompt that is looked at
TURNS = 50
LIMIT = 2048
_LINES = (
    "The fog came in before noon, and nobody saw the boats leave.",
    "Did you hear the bell? It rang twice and then not at all.",
    "I counted the stairs again. There are more of them at night, I am sure of it.",
    "Sit down, then. The kettle is on, and the wind will not let you go before morning.",
)
Changes = Callable[[int], Mapping[str, Any]]
"""The data of a turn, by its number."""


def reuse(template: Template, data: Changes, said: Sequence[ChatMessage] = ()) -> float:
    """The share of a prompt that the engine has already: the longest beginning that it has in
    common with the prompt of the turn before, over its length, on average. `said` are messages to
    make the chat of. Raises what `compile` raises."""
    conversation = Conversation(template, WordTokenizer(), ChatFormat.TOKENS)
    lines = chat(said)
    for _ in range(BEFORE):
        conversation.append(next(lines))
    shares: list[float] = []
    last: Sequence[int] = ()
    anchor = None
    longest = _around(template, data(0))
    for turn in range(TURNS):
        prompt = conversation.compile(data(turn), LIMIT + longest, anchor)
        ids = prompt.token_ids or []
        if last and ids:
            shares.append(common(last, ids) / len(ids))
        last, anchor = ids, prompt.anchor
        conversation.append(next(lines))
        conversation.append(next(lines))
    return sum(shares) / len(shares)


def chat(said: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    """A chat without end, of these messages and then of made-up ones, over and over."""
    texts = [(one.role, one.name, one.text) for one in said]
    number = 0
    while True:
        if number < len(texts):
            role, name, text = texts[number]
        else:
            mine = number % 2 == 0
            role, name = ("user", "Ada") if mine else ("char", "Mira")
            text = f"{_LINES[number % len(_LINES)]} ({number})"
        yield ChatMessage(f"simulated-{number}", role, name, text)
        number += 1


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How long a beginning two token sequences have in common."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _around(template: Template, data: Mapping[str, Any]) -> int:
    """About how many tokens stand around the history: room for them comes on top."""
    tokenizer = WordTokenizer()
    parts = [*template.head(data), *template.tail(data)]
    return sum(len(tokenizer.encode(part.content)) + 8 for part in parts)
