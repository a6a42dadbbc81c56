"""Conversations as tokens, with the loss weight of each: only what the model is to say counts.

A conversation is rendered by the model's own chat template, exactly as the engine renders it when
it serves, and text of people never becomes a special token. Supervised are the contents of the
assistant's messages and what the template writes behind each up to the token that ends the turn,
that token included: a model that never learns it never stops. Called by `data.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from troupe.engine.chat_template import ChatTemplate
from troupe.engine.errors import InvalidRequest
from troupe.engine.spelling import Piece
from troupe.train.data import Document
from troupe.train.errors import DataError
from troupe.train.finetune.examples import Talk
from troupe.train.models.folders import end_tokens


class ChatEncoder:
    """The chat template and end tokens of one model folder."""

    def __init__(self, folder: Path) -> None:
        """Raises `CheckpointError` or `DataError` for a folder without tokenizer or template."""
        path = folder / "tokenizer.json"
        if not path.exists():
            raise DataError(f"{path} does not exist: fine-tuning starts from a whole model folder")
        self._template = ChatTemplate(folder, Tokenizer.from_file(str(path)))
        self._ends = frozenset(end_tokens(folder))

    def encode(self, talk: Talk) -> Document:
        """Ids and weights (1 supervised, 0 not). Raises `DataError` if the template refuses the
        conversation, drops an answer, or does not end one with an end token of the model."""
        try:
            pieces = self._template.pieces(
                [message.plain() for message in talk.messages], {"add_generation_prompt": False}
            )
        except InvalidRequest as error:
            raise DataError(str(error)) from error
        wanted = {
            index
            for index, message in enumerate(talk.messages)
            if index >= talk.learn_from and message.role == "assistant"
        }
        return self._supervised(pieces, wanted)

    def _supervised(self, pieces: Sequence[Piece], wanted: set[int]) -> Document:
        ids: list[int] = []
        weights: list[float] = []
        cuts: list[int] = []
        unseen, ending = set(wanted), None
        for piece in pieces:
            learned = piece.message in wanted
            count = len(piece.ids) if learned else 0
            if ending is not None and not learned:
                count = self._until_end(piece.ids, ending)
                cuts.append(len(ids) + count)
            ending = piece.message if learned else None
            unseen.discard(piece.message if learned else -1)
            ids += piece.ids
            weights += [1.0] * count + [0.0] * (len(piece.ids) - count)
        if ending is not None:
            raise DataError(_endless(ending))
        if unseen:
            raise DataError(f"the chat template leaves out messages[{min(unseen)}]")
        return Document(tuple(ids), tuple(weights), tuple(cuts))

    def _until_end(self, ids: Sequence[int], message: int) -> int:
        """How many ids behind an answer belong to it: up to the first end token."""
        for index, token in enumerate(ids):
            if token in self._ends:
                return index + 1
        raise DataError(_endless(message))


def _endless(message: int) -> str:
    return (
        f"the chat template writes no end token behind messages[{message}]: the model would never "
        "learn to stop; add that token to eos_token_id in config.json, or mend the template"
    )
