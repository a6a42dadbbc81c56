"""What can be wrong with a card file. Each error says where, and its message is fit for people."""

from __future__ import annotations


class CardError(Exception):
    """A card could not be read. `where` is a place in the file: a chunk, an entry, a JSON path."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class CardDamaged(CardError):
    """The file is cut off, or not of the kind that it says it is."""


class CardInvalid(CardError):
    """The file is whole, but what it holds is not a card."""


class CardTooLarge(CardError):
    """A limit on size, depth or count was passed."""
