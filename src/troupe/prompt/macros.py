"""The macros of character cards: `{{char}}` and `{{user}}`, and their old forms. Pure."""

from __future__ import annotations

import re

_MACRO = re.compile(r"\{\{\s*(user|char)\s*\}\}|<(USER|BOT|CHAR)>", re.IGNORECASE)


def replace_names(text: str, char: str, user: str) -> str:
    """`text` with each macro replaced by a name, in one pass: a name that looks like a macro
    stays as it is."""
    names = {"user": user, "char": char, "bot": char}
    return _MACRO.sub(lambda found: names[(found[1] or found[2]).lower()], text)
