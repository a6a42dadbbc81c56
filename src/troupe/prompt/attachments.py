"""What a message can carry beside its text: images, calls of tools and their results. Pure.

Templates never see them: they go around the template, from the message to the last of its parts,
and the chat formats put them where a model wants them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, by its address (`https:` or `data:`). `tokens` is what it costs the model, which
    nobody but the caller can know."""

    url: str
    detail: str = ""  # "low", "high" or "auto"; empty leaves it to the model
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a character's answer made. `arguments` is a JSON object as text."""

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """Says that the message's text is what the call of that id gave."""

    call: str


Attachment = Image | ToolCall | ToolResult
