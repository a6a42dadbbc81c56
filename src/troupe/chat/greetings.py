"""A character's greetings as the first turn of a chat. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from .catalog import CharacterVersion
from .store.types import ROOT, Message, MessageKey, State

_MACRO = re.compile(r"\{\{\s*(user|char)\s*\}\}|<(USER|BOT)>", re.IGNORECASE)


def with_names(text: str, user: str, char: str) -> str:
    """`text` with `{{user}}` and `{{char}}` (and their old forms) replaced, in one pass."""
    names = {"user": user, "char": char, "bot": char}
    return _MACRO.sub(lambda found: names[(found[1] or found[2]).lower()], text)


def first_messages(
    chat_id: UUID, version: CharacterVersion, user: str, now: datetime
) -> list[Message]:
    """The candidates of turn 0, the first one chosen; none if the character does not greet."""
    greetings = [text for text in (version.greeting, *version.alternate_greetings) if text.strip()]
    return [
        Message(
            key=MessageKey(chat_id, ROOT, 0, alt),
            speaker=f"char:{version.character_id}",
            state=State.COMPLETE,
            body=with_names(text, user, version.name),
            created_at=now,
            chosen=alt == 0,
            meta={"version_id": str(version.version_id), "greeting": alt},
        )
        for alt, text in enumerate(greetings)
    ]
