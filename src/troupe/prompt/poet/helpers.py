"""Functions for templates that write a chat the way `prompt-poet`'s example does. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DASH = "-"
DEFAULT_USERNAME = "user"
NARRATOR_NAME = "narrator"
_AUTHOR = re.compile(r"[\w-]+:")


@dataclass
class CAIMessage:
    """A message of a chat. `type`: 0 unknown, 1 a person's, 2 a character's, 3 the system's."""

    author: str
    text: str
    type: int = 0
    is_pinned: bool = False


def canonicalize_name(name: str | None) -> str:
    """A name in one word."""
    return DASH.join(name.split()) if name else DASH


def canonicalize_user_name(name: str | None) -> str:
    """A person's name in one word; `user` for those who have none."""
    return DEFAULT_USERNAME if name == DASH else canonicalize_name(name or DEFAULT_USERNAME)


def get_character_definition_messages(
    character: Mapping[str, Any],
    username: str,  # noqa: ARG001 - part of the interface
) -> list[CAIMessage]:
    """A character's title and description as a message of its own, its definition line by line."""
    title, description = character.get("title"), character.get("description")
    about = f"{title} - {description}" if title and description else description or title
    messages = []
    if about:
        author = canonicalize_name(character.get("participant__name", ""))
        messages.append(CAIMessage(author, about))
    if definition := character.get("definition"):
        messages += [CAIMessage("", line) for line in definition.split("\n")]
    return messages


def maybe_inject_narrator(message: str, default_author: str = NARRATOR_NAME) -> str:
    """The message with an author, if it names none."""
    return message if _AUTHOR.match(message) else f"{default_author}: {message}"


def escape_sequences(message: str) -> str:
    """The message on one line."""
    return message.replace("\n", "\\n").replace("\r", "\\r")


def raise_missing_context_data(key: str) -> None:
    """For a template to refuse data without `key`. Raises `ValueError`."""
    raise ValueError(f"the data lacks {key!r}")


def pretruncate_messages(messages: list[CAIMessage], token_limit: int) -> list[CAIMessage]:
    """The newest of the messages, about a fifth of the limit in number: what is older cannot fit.
    Messages go in steps of a tenth of the limit."""
    step = token_limit // 10
    if step < 1:
        return messages
    while len(messages) > 2 * step:
        messages = messages[step:]
    return messages


EXAMPLE_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        canonicalize_name, canonicalize_user_name, escape_sequences,
        get_character_definition_messages, maybe_inject_narrator, pretruncate_messages,
        raise_missing_context_data,
    )
}  # fmt: skip
