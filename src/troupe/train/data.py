"""Conversations as rows of tokens: encoding, loss weights, packing.

A document is one conversation; documents share a row but never see one another. A conversation
that does not fit is cut after a whole answer, never inside. The stream's position is one number,
the next document's, so that a run resumes exactly. Called by `pretrain` and `evaluate`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from troupe.train.corpus import Dialogue, Message
from troupe.train.tokenizer import BOS, CHAR, END, PAD, SYSTEM, USER, TextTokenizer


@dataclass(frozen=True, slots=True)
class Document:
    """A conversation's ids with the loss weight of each, and where it may be cut: the lengths
    after each answer."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    cuts: tuple[int, ...]

    def fitting(self, room: int) -> int:
        """The longest cut within `room` tokens, else 0."""
        return max((cut for cut in self.cuts if cut <= room), default=0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of tokens, all `(B, T)`. `targets` are the next tokens and `weights` their share of the
    loss (0: not supervised); `documents` numbers the conversations of a row, -1 is padding."""

    ids: Tensor
    targets: Tensor
    weights: Tensor
    positions: Tensor
    documents: Tensor


def encode_prompt(tokenizer: TextTokenizer, dialogue: Dialogue, upto: int, name: str) -> list[int]:
    """Ids that make `name` speak after the first `upto` messages."""
    ids = _system(tokenizer, dialogue)
    for message in dialogue.messages[:upto]:
        ids.append(USER if message.role == "user" else CHAR)
        ids += [*tokenizer.encode(f"{message.name}\n"), *tokenizer.encode(message.text), END]
    return [*ids, CHAR, *tokenizer.encode(f"{name}\n")]


def encode(
    tokenizer: TextTokenizer, dialogue: Dialogue, context_weight: float, fact_weight: float = 1.0
) -> Document:
    """Answers and their end are weighted 1, the facts that were asked for `fact_weight`, all else
    `context_weight`."""
    ids = _system(tokenizer, dialogue)
    weights = [context_weight] * len(ids)
    cuts: list[int] = []
    for message in dialogue.messages:
        answer = message.role == "char"
        head = [CHAR if answer else USER, *tokenizer.encode(f"{message.name}\n")]
        pieces = tokenizer.encode_spans(message.text)
        ids += [*head, *(piece for piece, _, _ in pieces), END]
        weights += [context_weight] * len(head)
        facts = _spans(message) if answer else []
        weights += [
            (fact_weight if _within(begin, end, facts) else 1.0) if answer else context_weight
            for _, begin, end in pieces
        ]
        weights.append(1.0 if answer else context_weight)
        if answer:
            cuts.append(len(ids))
    return Document(tuple(ids), tuple(weights), tuple(cuts))


def _spans(message: Message) -> list[tuple[int, int]]:
    """Where an answer gives the facts that were asked for; capitals do not count."""
    return [
        match.span()
        for fact in message.expect
        for match in re.finditer(re.escape(fact), message.text, re.IGNORECASE)
    ]


def _within(begin: int, end: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(begin < last and end > first for first, last in spans)


def _system(tokenizer: TextTokenizer, dialogue: Dialogue) -> list[int]:
    return [BOS, SYSTEM, *tokenizer.encode(dialogue.system), END]


def pack(
    source: Callable[[int], Document], position: int, rows: int, length: int
) -> tuple[Batch, int]:
    """Fill `rows` rows of `length` tokens with the documents from `position` on; gives the batch
    and the next position. A document goes where it leaves least room; the batch is full when one
    fits nowhere. One that fits no empty row is left out."""
    placed: list[list[tuple[Document, int]]] = [[] for _ in range(rows)]
    room = [length] * rows
    while True:
        document = source(position)
        fits = [document.fitting(space) for space in room]
        longest = max(fits)
        if longest == 0 and document.fitting(length) == 0:
            position += 1
            continue
        if longest == 0:
            break
        row = min((r for r in range(rows) if fits[r] == longest), key=room.__getitem__)
        placed[row].append((document, longest))
        room[row] -= longest
        position += 1
    return _to_batch(placed, length), position


def _to_batch(placed: Sequence[Sequence[tuple[Document, int]]], length: int) -> Batch:
    shape = (len(placed), length)
    ids = torch.full(shape, PAD)
    targets = torch.full(shape, PAD)
    weights = torch.zeros(shape)
    positions = torch.zeros(shape, dtype=torch.long)
    documents = torch.full(shape, -1)
    for row, entries in enumerate(placed):
        start = 0
        for number, (document, size) in enumerate(entries):
            end = start + size
            own = torch.tensor(document.ids[:size])
            ids[row, start:end] = own
            targets[row, start : end - 1] = own[1:]
            weights[row, start : end - 1] = torch.tensor(document.weights[1:size])
            positions[row, start:end] = torch.arange(size)
            documents[row, start:end] = number
            start = end
    return Batch(ids, targets, weights, positions, documents)
