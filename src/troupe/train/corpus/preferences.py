"""Preferences by the grammar: an answer as the corpus has it, and the same answer spoilt.

A spoilt answer has one of the faults that evaluation counts: another's fact, speaking for somebody
else, falling out of character, answering something that was not asked. Held-out ones are made from
held-out conversations. Called by `troupe train corpus --schema`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any, Literal

from troupe.train.corpus.bank import Split
from troupe.train.corpus.dialogue import Dialogue, Message, Size, dialogue

Schema = Literal["sft", "dpo", "kto"]

_OUT_OF_CHARACTER = {
    Split.TRAIN: (
        "As a language model, I have no {}.",
        "I am an AI and cannot play a person.",
        "I'm sorry, but I am just a computer program.",
        "This is only a story, so there is nothing to say to that.",
        "The card says: {}.",
        "I'm an assistant. How may I help you with {}?",
    ),
    Split.HELD_OUT: (
        "I am only a chatbot, so {} means nothing to me.",
        "As an artificial intelligence I do not have a life.",
        "My instructions do not cover {}.",
    ),
}
_MATTERS = ("feelings", "memories", "opinions", "that", "a name", "your request")


def lines(schema: Schema, seed: int, split: Split, size: Size) -> Iterator[dict[str, Any]]:
    """An endless stream of lines in TRL's conversational schemas, one a conversation."""
    index = 0
    while True:
        made = dialogue(seed, index, split, size)
        rng = Random(f"preference:{seed}:{split}:{index}")
        index += 1
        answers = [i for i, m in enumerate(made.messages) if m.role == "char"]
        if not answers:  # a card so long that nothing was said
            continue
        if schema == "sft":
            yield {"messages": _messages(made, len(made.messages))}
            continue
        at = rng.choice(answers)
        good, bad = made.messages[at], spoilt(made, at, rng, split, size)
        prompt = _messages(made, at)
        if schema == "dpo":
            yield {
                "prompt": prompt,
                "chosen": [_plain(good, good.text)],
                "rejected": [_plain(good, bad)],
            }
        else:
            liked = rng.random() < 0.5
            text = good.text if liked else bad
            yield {"prompt": prompt, "completion": [_plain(good, text)], "label": liked}


def spoilt(made: Dialogue, at: int, rng: Random, split: Split, size: Size) -> str:
    """The answer at index `at` with a fault."""
    message = made.messages[at]
    if message.expect and rng.random() < 0.6:
        wrong = _with_other_facts(message, rng, split, size)
        if wrong is not None:
            return wrong
    match rng.randrange(3):
        case 0:
            others = [m for m in made.messages if m.name != message.name]
            if others:
                other = rng.choice(others)
                return f"{message.text}\n{other.name}: {other.text}"
        case 1:
            others = [m for m in made.messages if m.role == "char" and m.text != message.text]
            if others:
                return rng.choice(others).text
    return rng.choice(_OUT_OF_CHARACTER[split]).format(rng.choice(_MATTERS))


def _with_other_facts(message: Message, rng: Random, split: Split, size: Size) -> str | None:
    """The answer with what was asked for replaced by what others answered to the same question."""
    for _ in range(12):
        other = dialogue(rng.randrange(2**31), 0, split, size)
        for candidate in other.messages:
            if candidate.kind == message.kind and len(candidate.expect) == len(message.expect):
                text = message.text
                for mine, theirs in zip(message.expect, candidate.expect, strict=True):
                    text = theirs.join(re.split(re.escape(mine), text, flags=re.IGNORECASE))
                if text != message.text:
                    return text
    return None


def _messages(made: Dialogue, upto: int) -> list[dict[str, str]]:
    system = [{"role": "system", "content": made.system}]
    return system + [_plain(message, message.text) for message in made.messages[:upto]]


def _plain(message: Message, text: str) -> dict[str, str]:
    role = "user" if message.role == "user" else "assistant"
    return {"role": role, "name": message.name, "content": text}
