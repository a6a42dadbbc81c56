"""Parts as OpenAI chat messages, with a name for each where a chat has several characters. Pure.

The open part's speaker is the assistant; an empty open part is no message: the model begins it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from troupe.prompt.attachments import Image, ToolCall, ToolResult
from troupe.prompt.types import Part

MAX_STOPS = 4  # OpenAI's limit
MAX_NAME = 64  # characters of a message's name
_ROLES = {"system": "system", "user": "user", "char": "assistant"}


class Names(StrEnum):
    """How a message says who speaks."""

    PREFIX = "prefix"  # others' lines become user lines that begin with `Name: `
    FIELD = "field"  # each message has a `name`, and every character is an assistant


def to_messages(parts: Sequence[Part], names: Names = Names.PREFIX) -> list[dict[str, Any]]:
    """OpenAI chat messages.

    With `Names.PREFIX` the lines of other characters become user lines that begin with their name;
    the user's own do so too once there are several others. Neighbours of one role (and one name)
    become one message, since many models' chat templates want roles to alternate. Images become
    content parts, calls of tools `tool_calls`, and their results messages of the role `tool`.
    """
    answerer = _answerer(parts)
    several = len(_others(parts, answerer)) > 1
    messages: list[dict[str, Any]] = []
    for part in parts:
        if part is parts[-1] and is_open(part) and not part.text and not part.attachments:
            break
        message = _message(part, names, answerer, several)
        if messages and _joins(messages[-1], message):
            messages[-1]["content"] = _joined(messages[-1]["content"], message["content"])
        else:
            messages.append(message)
    return messages


def is_open(part: Part) -> bool:
    """Whether the last part of a prompt is the beginning of the model's answer."""
    return part.role == "char"


def stops(parts: Sequence[Part]) -> tuple[str, ...]:
    """Strings that begin somebody else's line: where a model would speak for them, it stops."""
    others = _others(parts, _answerer(parts))
    names = sorted(name for name in others if "\n" not in name and len(name) <= MAX_NAME)
    return tuple(f"\n{name}:" for name in names[:MAX_STOPS])


def _message(part: Part, names: Names, answerer: str, several: bool) -> dict[str, Any]:
    role, text = _ROLES[part.role], part.text
    calls = [one for one in part.attachments if isinstance(one, ToolCall)]
    results = [one for one in part.attachments if isinstance(one, ToolResult)]
    images = [one for one in part.attachments if isinstance(one, Image)]
    if results:
        return {"role": "tool", "tool_call_id": results[0].call, "content": text}
    message: dict[str, Any] = {"role": role}
    if names is Names.FIELD:
        if part.speaker:
            message["name"] = part.speaker
    elif part.role == "char" and answerer and part.speaker != answerer:
        message["role"] = "assistant" if calls else "user"
        text = f"{part.speaker}: {text}"
    elif part.role == "user" and several and part.speaker:
        text = f"{part.speaker}: {text}"
    message["content"] = _with_images(text, images)
    if calls:
        message["tool_calls"] = [_call(one) for one in calls]
    return message


def attached(part: Part) -> tuple[int, list[str]]:
    """What a part carries beside its text: tokens of its images, and the texts of its calls."""
    images = sum(one.tokens for one in part.attachments if isinstance(one, Image))
    calls = [one for one in part.attachments if isinstance(one, ToolCall)]
    return images, [text for call in calls for text in (call.name, call.arguments)]


def _with_images(text: str, images: Sequence[Image]) -> str | list[dict[str, Any]]:
    if not images:
        return text
    found: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for image in images:
        about = {"url": image.url} | ({"detail": image.detail} if image.detail else {})
        found.append({"type": "image_url", "image_url": about})
    return found


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _joins(before: dict[str, Any], message: dict[str, Any]) -> bool:
    same = before["role"] == message["role"] and before.get("name") == message.get("name")
    return (
        same and message["role"] != "tool" and not any("tool_calls" in m for m in (before, message))
    )


def _joined(before: Any, content: Any) -> Any:
    if isinstance(before, str) and isinstance(content, str):
        return f"{before}\n\n{content}"
    lists = [
        [{"type": "text", "text": one}] if isinstance(one, str) else one
        for one in (before, content)
    ]
    return lists[0] + lists[1]


def _answerer(parts: Sequence[Part]) -> str:
    return parts[-1].speaker if parts and is_open(parts[-1]) else ""


def _others(parts: Sequence[Part], answerer: str) -> set[str]:
    said = {part.speaker for part in parts if part.role != "system"}
    return said - {answerer, ""} - _tools(parts)


def _tools(parts: Sequence[Part]) -> set[str]:
    """Names that only tools' results are under: a tool is nobody."""
    results = {p.speaker for p in parts if any(isinstance(a, ToolResult) for a in p.attachments)}
    people = {p.speaker for p in parts if not any(isinstance(a, ToolResult) for a in p.attachments)}
    return results - people
