"""A message's parts without Jinja or YAML, where its stretch of a template is straight. Pure.

A stretch is straight if it has no conditions, loops or names of its own: text, and fields of the
message. Then its structure depends on the message's role alone and is read once a role; a message's
other fields are put in their places. Gives what `template.py` gives by itself, or None to have it
do so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

from jinja2 import nodes

from troupe.prompt.run import MARK, MARK_END, Limits, Run
from troupe.prompt.types import ChatMessage, Part, Section
from troupe.prompt.yaml_parts import BadParts, read_parts

_MARK = re.compile(f"{MARK}([0-9]+){MARK_END}")
_FIELDS = {field.name for field in fields(ChatMessage)} - {"attachments"}
_ESCAPE = "escape_special_characters"  # there is nothing to escape
_ROLES = ("user", "char", "assistant")
Bind = Callable[[Sequence[str]], str]  # a text of values in their places


@dataclass(frozen=True, slots=True)
class _Constant:
    text: str


_Got = str | _Constant  # a field of the message, or a text in braces


@dataclass(frozen=True, slots=True)
class Shape:
    """A part with places for values."""

    name: Bind
    role: str
    sections: tuple[tuple[str, Bind, tuple[int | str, ...] | None], ...]
    priority: int


class Direct:
    """A straight stretch."""

    def __init__(
        self, shapes: Mapping[str, Sequence[Shape]], names: Sequence[str], room: int
    ) -> None:
        self.shapes = shapes  # by role
        self.fields = tuple(names)  # of the message: the values that binders take
        self.room = room  # characters that these may have together
        self._got = [attrgetter(field) for field in names]

    def parts(self, message: ChatMessage) -> tuple[Part, ...] | None:
        """The message's parts; None where Jinja and YAML have to say what they are."""
        shapes = self.shapes.get(message.role)
        values = [get(message) for get in self._got]
        if shapes is None or sum(map(len, values)) > self.room:
            return None
        return tuple(
            [
                Part(
                    shape.name(values),
                    shape.role,
                    tuple([Section(label, bind(values), t) for label, bind, t in shape.sections]),
                    shape.priority,
                )
                for shape in shapes
            ]
        )


def straight(body: Iterable[nodes.Node], name: str, limits: Limits) -> Direct | None:
    """The stretch that `body` makes, in which the message is called `name`; None if it is not
    straight."""
    text = ""
    got: list[_Got] = []
    for node in body:
        if not isinstance(node, nodes.Output):
            return None
        for piece in node.nodes:
            if isinstance(piece, nodes.TemplateData):
                text += piece.data
                continue
            field = _constant(piece) if isinstance(piece, nodes.Const) else _field(piece, name)
            if field is None:
                return None
            text += f"{MARK}{len(got)}{MARK_END}"
            got.append(field)
    shapes = {}
    for role in _ROLES:
        run = Run("", limits, values=_known(got, role))
        try:
            found = read_parts(text, run, None)
        except BadParts:
            continue
        if any(MARK in section.name for part in found for section in part.sections):
            return None
        shapes[role] = [_shape(part) for part in found]
    # What is counted is the template's text, each value, and each value where it is put.
    fixed = len(text) + sum(len(one.text) for one in got if isinstance(one, _Constant))
    room = (limits.chars - 3 * fixed) // (2 * len(got) + 1)
    if not shapes or len(got) > limits.steps:
        return None
    return Direct(shapes, [one for one in got if isinstance(one, str)], room)


def _known(got: Sequence[_Got], role: str) -> list[str]:
    """What stands in the places of values while a stretch is read: themselves, or marks that number
    the message's fields."""
    values = []
    for one in got:
        if isinstance(one, _Constant):
            values.append(one.text)
        else:
            number = sum(isinstance(before, str) for before in got[: len(values)])
            values.append(role if one == "role" else f"{MARK}{number}{MARK_END}")
    return values


def _constant(node: nodes.Const) -> _Constant | None:
    text = node.value
    return _Constant(text) if isinstance(text, str) and MARK not in text else None


def _field(node: nodes.Node, name: str) -> str | None:
    """The field of the message that an expression is."""
    if isinstance(node, nodes.Call):
        escapes = isinstance(node.node, nodes.Name) and node.node.name == _ESCAPE
        if not escapes or len(node.args) != 1 or node.kwargs or node.dyn_args or node.dyn_kwargs:
            return None
        return _field(node.args[0], name)
    if isinstance(node, nodes.Getattr):
        key: object = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        key = node.arg.value
    else:
        return None
    if not isinstance(node.node, nodes.Name) or node.node.name != name:
        return None
    return key if isinstance(key, str) and key in _FIELDS else None


def _shape(part: Part) -> Shape:
    return Shape(
        _binder(part.name),
        part.role,
        tuple((s.name, _binder(s.content), s.tokens) for s in part.sections),
        part.truncation_priority,
    )


def _binder(text: str) -> Bind:
    """Puts values in the places of marks; none is looked through for another."""
    pieces = _MARK.split(text)  # text, number, text, ...
    numbers = [int(number) for number in pieces[1::2]]
    if not numbers:
        return lambda _values: text
    if len(numbers) == 1:
        before, (number,), after = pieces[0], numbers, pieces[2]
        if not before and not after:
            return lambda values: values[number]
        return lambda values: f"{before}{values[number]}{after}"
    texts = pieces[::2]
    if len(numbers) == 2:  # as in `name: text`
        (one, two), (before, between, after) = numbers, texts
        return lambda values: f"{before}{values[one]}{between}{values[two]}{after}"

    def bind(values: Sequence[str]) -> str:
        out = [texts[0]]
        for number, after in zip(numbers, texts[1:], strict=True):
            out += (values[number], after)
        return "".join(out)

    return bind
