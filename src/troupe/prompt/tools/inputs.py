"""The data that a template is looked at with, from the text of a JSON or YAML file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from troupe.prompt.attachments import Attachment, Image, ToolCall, ToolResult
from troupe.prompt.data import plain
from troupe.prompt.errors import DataError
from troupe.prompt.types import ChatMessage

HISTORY = "history"
_FIELDS = ("id", "role", "name", "text", "attachments")
_ATTACHMENTS: Mapping[str, type[Attachment]] = {
    "image": Image, "tool_call": ToolCall, "tool_result": ToolResult,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inputs:
    """Data for a template, and the messages that its key `history` held."""

    data: dict[str, Any]
    history: tuple[ChatMessage, ...]


def read_inputs(text: str) -> Inputs:
    """The inputs in the text of a file: an object, whose `history` lists messages with `role`
    (`user` or `char`), `name`, `text`, and perhaps `id` and `attachments`. Raises `DataError`."""
    try:
        found = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise DataError(f"this is neither JSON nor YAML: {error}", "") from error
    if not isinstance(found, dict):
        raise DataError("the data are an object, a value for each name", "")
    found = {str(key): _plainly(value) for key, value in found.items()}
    messages = found.pop(HISTORY, [])
    if not isinstance(messages, list):
        raise DataError("the history is a list of messages", HISTORY)
    history = tuple(_message(one, number) for number, one in enumerate(messages))
    return Inputs(plain(found), history)


def _plainly(value: Any) -> Any:
    """Dates, which YAML reads out of texts, as the texts that they were."""
    if isinstance(value, dict):
        return {str(key): _plainly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plainly(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _message(found: Any, number: int) -> ChatMessage:
    key = f"{HISTORY}[{number}]"
    if not isinstance(found, dict) or not {"role", "text"} <= found.keys() <= set(_FIELDS):
        raise DataError(f"a message has role and text, and may have {', '.join(_FIELDS)}", key)
    if found["role"] not in ("user", "char"):
        raise DataError("a message's role is user or char", key)
    attached = found.get("attachments", [])
    if not isinstance(attached, list):
        raise DataError("attachments are a list", key)
    return ChatMessage(
        id=str(found.get("id", number)),
        role=found["role"],
        name=str(found.get("name", "")),
        text=str(found["text"]),
        attachments=tuple(_attachment(one, key) for one in attached),
    )


def _attachment(found: Any, key: str) -> Attachment:
    kinds = ", ".join(_ATTACHMENTS)
    if not isinstance(found, dict) or found.get("kind") not in _ATTACHMENTS:
        raise DataError(f"an attachment has a kind: {kinds}", key)
    fields = {name: value for name, value in found.items() if name != "kind"}
    try:
        return _ATTACHMENTS[found["kind"]](**fields)
    except TypeError as error:
        raise DataError(f"{found['kind']}: {error}", key) from error
