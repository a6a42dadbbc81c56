"""A conversation's next prompt within a limit that one chat format counts. Pure.

A conversation cuts by its own count; what a chat template puts around messages is known only when
it is rendered. Called by whoever gives a conversation's prompt in a format of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from troupe.prompt.errors import PromptTooLong
from troupe.prompt.formats.rendered import Format, Rendered

if TYPE_CHECKING:  # it imports this package
    from troupe.prompt.compiled import CompiledPrompt

_STEP = 64  # tokens: the room for what the format adds grows by such steps, so that it seldom does


class _Compiles(Protocol):
    def compile(
        self,
        data: Mapping[str, Any],
        limit: int,
        anchor: str | None = None,
        held: Mapping[str, Any] | None = None,
    ) -> CompiledPrompt: ...


def fitted(
    conversation: _Compiles,
    chat_format: Format,
    data: Mapping[str, Any],
    limit: int,
    anchor: str | None = None,
    held: Mapping[str, Any] | None = None,
) -> tuple[CompiledPrompt, Rendered]:
    """The prompt for the next answer, and the same as `chat_format` renders it in at most `limit`
    of its tokens. Raises `PromptTooLong`, `FormatError` and what `compile` raises."""
    room = limit
    while True:
        prompt = conversation.compile(data, room, anchor, held)
        made = chat_format.render(prompt.parts)
        over = made.tokens - limit
        if over <= 0:
            return prompt, made
        room -= -(-over // _STEP) * _STEP
        if room <= 0:
            largest = max(made.counts, key=lambda name: made.counts[name])
            raise PromptTooLong(over, limit, largest, made.counts[largest])
