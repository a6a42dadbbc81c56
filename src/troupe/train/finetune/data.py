"""The documents of a run: read, rendered, measured, numbered; and rows of them as tensors.

Called by `methods.py` and the command line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from troupe.train.data import Batch, Document
from troupe.train.errors import DataError
from troupe.train.finetune.chats import ChatEncoder
from troupe.train.finetune.config import Batching
from troupe.train.finetune.examples import Judged, Pair, Talk, read_judged, read_pairs, read_talks
from troupe.train.finetune.plan import Microbatch
from troupe.train.tokenizer import PAD


@dataclass(slots=True)
class Dataset:
    """Documents by number, and examples made of them: one of sft, chosen and rejected of dpo, the
    answer and the same prompt with another's answer of kto."""

    documents: list[Document] = field(default_factory=list)
    examples: list[tuple[int, ...]] = field(default_factory=list)
    liked: list[bool] = field(default_factory=list)  # kto: of each example
    dropped: int = 0  # examples that were too long

    @property
    def lengths(self) -> list[int]:
        """Tokens of each document."""
        return [len(document.ids) for document in self.documents]

    def add(self, documents: Sequence[Document]) -> None:
        """One example more."""
        first = len(self.documents)
        self.documents += documents
        self.examples.append(tuple(range(first, first + len(documents))))


def talks(files: Sequence[Path], encoder: ChatEncoder, batching: Batching) -> Dataset:
    """Conversations to imitate; a long one is cut behind its last answer that fits. Raises
    `DataError`."""
    made = Dataset()
    for talk, where in _all(files, read_talks):
        document = _encode(encoder, talk, where)
        size = document.fitting(batching.length)
        if size:
            made.add([_cut(document, size)])
        else:
            _too_long(made, [document], batching, where)
    return _filled(made, files)


def pairs(files: Sequence[Path], encoder: ChatEncoder, batching: Batching) -> Dataset:
    """Preferences. Raises `DataError`."""

    def sides(pair: Pair, where: str) -> list[Document]:
        return [_encode(encoder, talk, where) for talk in (pair.chosen, pair.rejected)]

    made = Dataset()
    for pair, where in _all(files, read_pairs):
        _add_whole(made, sides(pair, where), batching, where)
    return _filled(made, files)


def judged(files: Sequence[Path], encoder: ChatEncoder, batching: Batching) -> Dataset:
    """Answers with thumbs, each with the same prompt before the answer of the example ahead of it
    (KTO's estimate of the divergence). Raises `DataError`."""
    found = list(_all(files, read_judged))
    if len(found) == 1:
        raise DataError(f"{files[0]}: kto needs at least two examples")
    made = Dataset()
    for index, (one, where) in enumerate(found):
        other = found[index - 1][0].talk
        documents = [_encode(encoder, one.talk, where), _encode(encoder, _with(one, other), where)]
        if _add_whole(made, documents, batching, where):
            made.liked.append(one.liked)
    return _filled(made, files)


def to_batch(documents: Sequence[Document], microbatch: Microbatch) -> tuple[Batch, list[int]]:
    """Tensors `(rows, longest row)`, with the documents numbered over all rows in the order of the
    numbers that are given beside."""
    widths = [sum(len(documents[n].ids) for n in row) for row in microbatch.rows]
    shape = (len(widths), max(widths))
    ids, targets = torch.full(shape, PAD), torch.full(shape, PAD)
    weights, positions = torch.zeros(shape), torch.zeros(shape, dtype=torch.long)
    owner = torch.full(shape, -1)
    order: list[int] = []
    for index, row in enumerate(microbatch.rows):
        start = 0
        for number in row:
            document = documents[number]
            end = start + len(document.ids)
            own = torch.tensor(document.ids)
            ids[index, start:end] = own
            targets[index, start : end - 1] = own[1:]
            weights[index, start : end - 1] = torch.tensor(document.weights[1:])
            positions[index, start:end] = torch.arange(len(own))
            owner[index, start:end] = len(order)
            order.append(number)
            start = end
    return Batch(ids, targets, weights, positions, owner), order


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 over the files' bytes, in order. Raises `DataError`."""
    digest = hashlib.sha256()
    for path in files:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}") from error
    return digest.hexdigest()


T = TypeVar("T")


def _all(files: Sequence[Path], read: Callable[[Path], Iterator[T]]) -> Iterator[tuple[T, str]]:
    for path in files:
        for number, item in enumerate(read(path), 1):
            yield item, f"{path}, example {number}"


def _encode(encoder: ChatEncoder, talk: Talk, where: str) -> Document:
    try:
        return encoder.encode(talk)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _cut(document: Document, size: int) -> Document:
    return Document(
        document.ids[:size],
        document.weights[:size],
        tuple(cut for cut in document.cuts if cut <= size),
    )


def _with(one: Judged, other: Talk) -> Talk:
    """The prompt of one example before the answer of another."""
    prompt = one.talk.messages[: one.talk.learn_from]
    return Talk(prompt + other.messages[other.learn_from :], len(prompt))


def _add_whole(
    made: Dataset, documents: Sequence[Document], batching: Batching, where: str
) -> bool:
    if max(len(document.ids) for document in documents) <= batching.length:
        made.add(documents)
        return True
    _too_long(made, documents, batching, where)
    return False


def _too_long(made: Dataset, documents: Sequence[Document], batching: Batching, where: str) -> None:
    if batching.too_long == "error":
        longest = max(len(document.ids) for document in documents)
        raise DataError(
            f"{where}: {longest} tokens, and a row has {batching.length}: raise batch.length or "
            "set batch.too_long to drop"
        )
    made.dropped += 1


def _filled(made: Dataset, files: Sequence[Path]) -> Dataset:
    if not made.examples:
        names = ", ".join(map(str, files))
        raise DataError(f"{names}: no example to learn from ({made.dropped} were too long)")
    return made
