"""Token ids of many messages at once, where a template's stretch for one is straight. Pure.

No part is made on the way: whoever asks for parts has them made then. A message that is not plain
text in its place (it has attachments, or a role or size that the stretch may refuse) is left to
`template.py`, part by part. Called by `conversation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from troupe.prompt.direct import Bind, Direct, Shape
from troupe.prompt.history import Said
from troupe.prompt.layout import Framer
from troupe.prompt.types import ChatMessage


class Plan(NamedTuple):
    """What a role's messages come to: texts, and None in their places among the tokens that frame
    them."""

    texts: tuple[Bind, ...]
    frame: tuple[tuple[int, ...] | None, ...]
    floor: int  # the lowest priority of its parts


_BARE = (None,)  # one text and nothing around it


class Bulk:
    """A straight stretch and the frame around its parts."""

    def __init__(self, direct: Direct, framer: Framer) -> None:
        self._framer = framer
        self._room = direct.room // max(1, len(direct.fields))
        names = direct.fields or ("id",)
        self._values: Callable[[ChatMessage], tuple[str, ...]] = attrgetter(*names, names[-1])
        plans = {role: _plan(shapes, framer) for role, shapes in direct.shapes.items()}
        self._plans = {role: plan for role, plan in plans.items() if plan is not None}

    def encode(self, messages: Sequence[ChatMessage]) -> list[Said | None]:
        """What each message comes to; None for one that has to be looked at by itself."""
        if not messages or not self._taken(messages):
            return [None] * len(messages)
        plan_of, values = self._plans.get, self._values
        plans = [None if m.attachments else plan_of(m.role) for m in messages]
        said = iter(
            self._framer.encode(
                [
                    bind(got)
                    for plan, got in zip(plans, map(values, messages), strict=True)
                    if plan is not None
                    for bind in plan.texts
                ]
            )
        )
        made: list[Said | None] = []
        for plan in plans:
            if plan is None:
                made.append(None)
                continue
            if plan.frame == _BARE:
                ids = next(said)
                made.append(Said((ids,), len(ids), plan.floor))
                continue
            pieces = [next(said) if given is None else given for given in plan.frame]
            made.append(Said(pieces, sum(map(len, pieces)), plan.floor))
        return made

    def _taken(self, messages: Sequence[ChatMessage]) -> bool:
        """Whether all is text that has bytes, and no message can exceed the template's limit."""
        texts = [message.text for message in messages]
        ids = [message.id for message in messages]
        names = {message.name for message in messages} | {message.role for message in messages}
        if sum([max(map(len, some)) for some in (texts, ids, names, names)]) > self._room:
            return False
        text = "".join([*texts, *ids, *names])
        return text.isascii() or _has_bytes(text)


def _has_bytes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: `template.py` says in which message
        return False
    return True


def _plan(shapes: Sequence[Shape], framer: Framer) -> Plan | None:
    """None if the template gives tokens of its own, or a part that never goes."""
    if any(not shape.priority or shape.role not in framer.layout.roles for shape in shapes):
        return None
    sections = [section for shape in shapes for section in shape.sections]
    if not sections or any(given is not None for _, _, given in sections):
        return None
    frame: list[tuple[int, ...] | None] = []
    for shape in shapes:
        begin, end = framer.around(shape.role)
        frame += [begin, *[None] * len(shape.sections), end]
    return Plan(
        tuple(bind for _, bind, _ in sections),
        tuple(given for given in frame if given != ()),
        min(shape.priority for shape in shapes),
    )
