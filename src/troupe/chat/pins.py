"""Messages of a chat that a person pinned, as its meta holds them: keys and sizes, no text. Pure.

What is pinned stands in every prompt, so its number and length are bounded when it is pinned.
"""

from __future__ import annotations

from typing import Any

from .errors import StateConflict
from .store.types import Chat, Message, MessageKey

MOST = 20
MOST_CHARS = 4_000  # of all together

Pins = list[dict[str, Any]]  # in order of pinning: `message` (branch.seq.alt) and `chars`


def keys_of(chat: Chat) -> list[MessageKey]:
    """The messages that are pinned."""
    return [_key(chat, pin["message"]) for pin in _pins(chat)]


def with_pin(chat: Chat, message: Message) -> Pins:
    """The pins with one more. Raises `StateConflict` where there is no room for it."""
    pins = without(chat, message.key)
    if len(pins) >= MOST:
        raise StateConflict(f"A chat has at most {MOST} pins. Unpin one first.")
    size = len(message.body)
    if size + sum(pin["chars"] for pin in pins) > MOST_CHARS:
        raise StateConflict(
            f"What is pinned may have {MOST_CHARS} characters together. Unpin something first, or "
            "write the gist of it into the memory."
        )
    return [*pins, {"message": _name(message.key), "chars": size}]


def without(chat: Chat, key: MessageKey) -> Pins:
    """The pins without this message."""
    return [pin for pin in _pins(chat) if pin["message"] != _name(key)]


def without_turn(chat: Chat, branch: int, seq: int) -> Pins:
    """The pins without any candidate of a turn."""
    return [p for p in _pins(chat) if _key(chat, p["message"])[1:3] != (branch, seq)]


def _pins(chat: Chat) -> Pins:
    return list(chat.meta.get("pins") or [])


def _name(key: MessageKey) -> str:
    return f"{key.branch}.{key.seq}.{key.alt}"


def _key(chat: Chat, name: str) -> MessageKey:
    branch, seq, alt = map(int, name.split("."))
    return MessageKey(chat.chat_id, branch, seq, alt)
