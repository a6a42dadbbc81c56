"""A corpus written by the project: a generative grammar over persona cards and dialogues."""

from troupe.train.corpus.bank import Split, held_out
from troupe.train.corpus.dialogue import Dialogue, Message, Size, dialogue, dialogues

__all__ = ["Dialogue", "Message", "Size", "Split", "dialogue", "dialogues", "held_out"]
