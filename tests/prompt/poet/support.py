"""The two side by side: the installed `prompt-poet`, and this project's interface of the same."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from troupe.prompt import poet

WORD = 4


def _published() -> ModuleType:
    """The package. It puts its own folder, whose modules have names like `template`, in front of
    every other on the path: there it must not stay."""
    path = list(sys.path)
    import prompt_poet

    sys.path[:] = path
    module: ModuleType = prompt_poet
    return module


published = _published()


def encode(text: str) -> list[int]:
    """Tokens of up to four characters, whose ids say what they are."""
    pieces = [text[at : at + WORD] for at in range(0, len(text), WORD)]
    return [sum(ord(one) * 31**n for n, one in enumerate(piece)) % 2**31 for piece in pieces]


def seen(prompt: Any) -> dict[str, Any]:
    """Whatever a caller can see of a prompt."""
    found: dict[str, Any] = {}
    for name in (
        "parts", "pretruncation_parts", "string", "pretruncation_string", "tokens",
        "pretruncation_tokens", "messages", "section_stats", "token_limit", "template_name",
        "template_dir", "template_id", "template_package_name",
    ):  # fmt: skip
        found[name] = _outcome(lambda name=name: getattr(prompt, name))
    found["counts"] = _outcome(prompt.get_section_token_counts)
    return found


def run(make: Callable[..., Any], steps: Any, **arguments: Any) -> list[Any]:
    """What is seen after a prompt is made, and after each step; or the kind of the exception."""
    found: list[Any] = []
    made: list[Any] = []

    def begin() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made.append(make(**arguments))

    outcome = _outcome(begin)
    if not made:
        return [outcome]
    found.append(seen(made[0]))
    for step in steps:
        found.append((_outcome(lambda step=step: step(made[0])), seen(made[0])))
    return found


def same(steps: Any = (), **arguments: Any) -> list[Any]:
    """Both give the same; returns what."""
    ours = run(poet.Prompt, steps, **arguments)
    theirs = run(published.Prompt, steps, **arguments)
    assert ours == theirs
    return ours


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return _plain(call())
    except Exception as error:
        return kinds(error)


def kinds(error: Exception) -> str:
    """The name of an exception's kind; the two packages have one of the same name each."""
    return type(error).__name__


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
