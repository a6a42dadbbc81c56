"""What fine-tuning learns from: JSON lines in TRL's conversational schemas, checked.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    {"prompt": [...], "completion": [...]}                      one answer to learn
    {"prompt": [...], "chosen": [...], "rejected": [...]}       a preference
    {"chosen": [...], "rejected": [...]}                        the same; they share the prompt
    {"prompt": [...], "completion": [...], "label": true}       a thumb up or down

A message may have a `name`. Source: TRL's documentation, "Dataset formats and types". Reads text,
knows no tokens. Called by `data.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from troupe.engine.inflight import common_prefix
from troupe.train.errors import DataError

MAX_LINE = 8 * 2**20  # bytes
MAX_MESSAGES = 10_000
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message; `name` says who speaks where several do."""

    role: str
    content: str
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """As a chat template sees it."""
        message = {"role": self.role, "content": self.content}
        return message if self.name is None else {**message, "name": self.name}


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation of which the assistant's messages from index `learn_from` on are learned."""

    messages: tuple[ChatMessage, ...]
    learn_from: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ways to go on; the first is preferred."""

    chosen: Talk
    rejected: Talk


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer that somebody liked or did not."""

    talk: Talk
    liked: bool


T = TypeVar("T")


def read_talks(path: Path) -> Iterator[Talk]:
    """Conversations to imitate. Raises `DataError` naming file and line."""
    return _read(path, _talk)


def read_pairs(path: Path) -> Iterator[Pair]:
    """Preferences. Raises `DataError` naming file and line."""
    return _read(path, _pair)


def read_judged(path: Path) -> Iterator[Judged]:
    """Answers with thumbs. Raises `DataError` naming file and line."""
    return _read(path, _judged)


def _read(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
    try:
        with path.open("rb") as lines:
            number = 0
            while line := lines.readline(MAX_LINE + 1):
                number += 1
                where = f"{path}:{number}"
                if len(line) > MAX_LINE:
                    raise DataError(f"{where}: a line has over {MAX_LINE} bytes")
                if line.strip():
                    yield _parse(line, where, parse)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _parse(line: bytes, where: str, parse: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: this is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{where}: a line must be a JSON object")
    try:
        return parse(data)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _talk(data: Mapping[str, Any]) -> Talk:
    if "messages" in data:
        return _checked(Talk(_messages(data, "messages")))
    prompt = _messages(data, "prompt")
    return _checked(Talk(prompt + _messages(data, "completion"), len(prompt)))


def _pair(data: Mapping[str, Any]) -> Pair:
    chosen, rejected = _messages(data, "chosen"), _messages(data, "rejected")
    if "prompt" in data:
        prompt = _messages(data, "prompt")
        start = len(prompt)
        chosen, rejected = prompt + chosen, prompt + rejected
    else:
        start = common_prefix(chosen, rejected, MAX_MESSAGES)
    if chosen == rejected:
        raise DataError("chosen and rejected are the same")
    return Pair(_checked(Talk(chosen, start)), _checked(Talk(rejected, start)))


def _judged(data: Mapping[str, Any]) -> Judged:
    label = data.get("label")
    if not isinstance(label, bool):
        raise DataError("label must be true or false")
    prompt = _messages(data, "prompt")
    return Judged(_checked(Talk(prompt + _messages(data, "completion"), len(prompt))), label)


def _messages(data: Mapping[str, Any], key: str) -> tuple[ChatMessage, ...]:
    if key not in data:
        raise DataError(f"{key!r} is missing; there are {sorted(data)}")
    found = data[key]
    if not isinstance(found, list) or not found:
        raise DataError(f"{key!r} must be a list of messages")
    if len(found) > MAX_MESSAGES:
        raise DataError(f"{key!r} has over {MAX_MESSAGES} messages")
    return tuple(_message(m, f"{key}[{i}]") for i, m in enumerate(found))


def _message(data: Any, where: str) -> ChatMessage:
    if not isinstance(data, dict):
        raise DataError(f"{where} must be an object with role and content")
    role, content, name = data.get("role"), data.get("content"), data.get("name")
    if role not in ROLES:
        raise DataError(f"{where}.role is {role!r}, and must be one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise DataError(f"{where}.content must be a text")
    if name is not None and not isinstance(name, str):
        raise DataError(f"{where}.name must be a text")
    return ChatMessage(role, content, name)


def _checked(talk: Talk) -> Talk:
    learned = [m for m in talk.messages[talk.learn_from :] if m.role == "assistant"]
    if not learned:
        raise DataError("there is no message of the assistant to learn from")
    if not all(message.content for message in learned):
        raise DataError("a message of the assistant is empty")
    return talk
