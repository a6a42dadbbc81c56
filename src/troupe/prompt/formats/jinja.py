"""The Jinja that models' chat templates are written in, as Hugging Face's `transformers` runs it.

In the sandbox: a chat template comes with a model's files, from anywhere. Pure; called by
`chat_template.py`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import do_join
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from troupe.prompt.errors import FormatError

MAX_SOURCE = 400_000  # characters of a chat template; the longest known are under 30,000
MAX_CHARS = 8_000_000  # of a prompt, and of any text that is made on the way
SECONDS = 2.0  # of processor time
WRONG = (
    jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError,
    RecursionError,
)  # fmt: skip


def compiled(source: str, clock: Callable[[], datetime]) -> jinja2.Template:
    """A chat template. Raises `FormatError` if it cannot be parsed."""
    if len(source) > MAX_SOURCE:
        raise FormatError(f"the chat template is over {MAX_SOURCE} characters")
    env = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = _raise
    env.globals["strftime_now"] = lambda form: clock().strftime(form)
    env.globals["namespace"] = _Names
    env.filters["counted"] = _counted
    env.filters["concat"] = _concat
    env.filters["join"] = _join
    try:
        tree = _Bound().visit(env.parse(source))
        return jinja2.Template.from_code(env, env.compile(tree), env.make_globals(None))
    except (*WRONG, SyntaxError) as error:
        raise FormatError(f"the chat template cannot be parsed: {error}") from error


def rendered(template: jinja2.Template, values: Mapping[str, Any]) -> str:
    """What a chat template makes of its data. Raises `FormatError`, also where that takes more than
    `SECONDS` of computing or `MAX_CHARS` of text."""
    token = _UNTIL.set(time.thread_time() + SECONDS)
    pieces, room = [], MAX_CHARS
    try:
        for piece in template.generate(values):
            room -= len(piece)
            if room < 0:
                raise _TooMuch
            pieces.append(piece)
    except _TooMuch as error:
        raise FormatError(
            f"the chat template takes over {SECONDS:g} s of computing or {MAX_CHARS} characters"
        ) from error
    except WRONG as error:
        raise FormatError(f"the chat template refuses this prompt: {error}") from error
    finally:
        _UNTIL.reset(token)
    return "".join(pieces)


_UNTIL: ContextVar[float] = ContextVar("troupe_chat_template_until")  # processor time


class _TooMuch(Exception):
    """A limit was passed. Not among the errors that a template's own code may meet."""


def _tick() -> None:
    if time.thread_time() > _UNTIL.get():
        raise _TooMuch


def _room(chars: float) -> None:
    if chars > MAX_CHARS:
        raise _TooMuch


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with an eye on the clock at each call and turn of a loop, and on what operators
    make."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        _tick()
        for value in (*args, *kwargs.values()):  # a width, or how often
            if isinstance(value, int):
                _room(value)
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _tick()
        if operator == "+":
            _room(_length(left) + _length(right))
        elif operator == "*":
            _room(_length(left) * _times(right) + _length(right) * _times(left))
        elif operator == "**":
            _room(_times(left).bit_length() * _times(right))
        elif isinstance(left, str) and _WIDE.search(left):
            raise _TooMuch
        return super().call_binop(context, operator, left, right)


_WIDE = re.compile(r"%[^a-zA-Z%]*([0-9]{5}|\*)")


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 0


def _times(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _counted(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _tick()
        yield item


def _concat(pieces: Sequence[Any]) -> str:
    texts = [str(piece) for piece in pieces]
    _room(sum(map(len, texts)))
    return "".join(texts)


@jinja2.pass_eval_context
def _join(context: Any, items: Iterable[Any], d: str = "", attribute: Any = None) -> str:
    """Jinja's filter, with what it would make looked at first."""
    given = list(items)
    _room(sum(map(_length, given)) + len(given) * len(d))
    return str(do_join(context, given, d, attribute))


class _Bound(NodeTransformer):
    """Has loops and joined texts looked at."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not node.recursive:
            node.iter = _filter(node.iter, "counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "concat")


def _filter(node: nodes.Node, name: str) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is, where Jinja's own filter would write it for HTML."""
    text = json.dumps(
        value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys
    )
    if not ensure_ascii:
        return text
    # Escaped by hand, so that veiled characters stay what they are.
    return "".join(c if ord(c) < 128 or 0xE000 <= ord(c) < 0xF900 else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1]


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


class _Names(Namespace):
    """A namespace without names that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # so that any name may be given
        self, given = args[0], dict(*args[1:], **kwargs)
        for name in given:
            _refuse_private(name)
        Namespace.__init__(self, given)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: str) -> None:
    if name.startswith("_"):
        raise jinja2.TemplateError(f"a namespace holds no name like {name!r}")


class _Generation(Extension):
    """`{% generation %}` marks what a model said, for training; here it is what it holds."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
