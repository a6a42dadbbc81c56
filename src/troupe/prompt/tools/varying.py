"""Values that change from turn to turn: which ones they are likely to be, and what they become.
Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from troupe.prompt.tools.uses import ITEM, Path

_WORDS = frozenset((
    "now", "today", "date", "datetime", "time", "timestamp", "clock", "day", "hour", "minute",
    "weather", "random", "nonce", "uuid", "request", "turn", "turns", "step", "round", "seed",
    "count", "counter", "score", "mood", "memory", "memories", "retrieved", "retrieval", "lore",
    "lorebook", "search", "news", "recent", "seen", "status",
))  # fmt: skip
_SHAPES = re.compile(
    r"\d{4}-\d\d-\d\d|\b\d{1,2}:\d\d\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-"
)
_SPLIT = re.compile(r"[^a-z0-9]+")
_FORMS = 6


def seems_volatile(path: Path, value: Any) -> bool:
    """Whether a value's name or form says that it is another one in each turn."""
    words = {word for step in path for word in _SPLIT.split(step.lower())}
    return bool(words & _WORDS) or (isinstance(value, str) and bool(_SHAPES.search(value)))


def value_at(data: Any, path: Path) -> Any:
    """The value that a path leads to, the first of a list's items where any is meant; None if to
    nothing."""
    for step in path:
        if step == ITEM and isinstance(data, list):
            data = data[0] if data else None
        elif isinstance(data, Mapping):
            data = data.get(step)
        else:
            return None
    return data


def turning(
    data: Mapping[str, Any], path: Path, head: Callable[[Mapping[str, Any]], Hashable]
) -> Callable[[int], Mapping[str, Any]] | None:
    """The data of each turn, with another value at `path` in each; None if no other value makes
    another beginning of the prompt. `head` gives that beginning, or None for what is no use."""
    whole = path[: path.index(ITEM)] if ITEM in path else path
    seen: dict[Hashable, Mapping[str, Any]] = {}
    for form in _forms(value_at(data, whole)):
        changed = _with(data, whole, form)
        seen.setdefault(head(changed), changed)
    forms = [changed for made, changed in seen.items() if made is not None]
    if len(forms) < 2:
        return None
    return lambda turn: forms[turn % len(forms)]


def _forms(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [value, not value]
    if isinstance(value, int | float):
        return list(dict.fromkeys([value, *(value + n for n in range(_FORMS)), *range(_FORMS)]))
    if isinstance(value, str):
        return [_changed(value, n) for n in range(_FORMS)]
    if isinstance(value, list) and len(value) > 1:
        return [value[n:] + value[:n] for n in range(min(_FORMS, len(value)))]
    if isinstance(value, list) and value:
        return [[item] for item in _forms(value[0])]
    if isinstance(value, Mapping):
        return [{k: _forms(v)[n % max(1, len(_forms(v)))] if _forms(v) else v
                 for k, v in value.items()} for n in range(_FORMS)]  # fmt: skip
    return []


def _changed(text: str, number: int) -> str:
    """The text with other digits, or with one more word."""
    if re.search(r"\d", text):
        return re.sub(r"\d", lambda found: str((int(found[0]) + number) % 10), text)
    return f"{text} {'abcdef'[number]}"


def _with(data: Mapping[str, Any], path: Path, value: Any) -> Mapping[str, Any]:
    if not path:
        return value if isinstance(value, Mapping) else data
    return {**data, path[0]: _with(data[path[0]], path[1:], value) if path[1:] else value}
