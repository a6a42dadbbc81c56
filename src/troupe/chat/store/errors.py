"""What can go wrong in a store. Callers above turn these into answers."""

from __future__ import annotations


class StoreError(Exception):
    """Any refusal or failure of a store."""


class ChatNotFound(StoreError):
    """No chat has this id."""


class MessageNotFound(StoreError):
    """No message, turn or branch has this key."""


class Conflict(StoreError):
    """The place is taken, or the chat is not in a state that allows this; nothing was written."""


class BadText(StoreError):
    """A text that the database cannot hold (NUL, lone surrogates); nothing was written."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or failed. Whether a write took place is not known; one with
    a client id may be repeated safely."""
