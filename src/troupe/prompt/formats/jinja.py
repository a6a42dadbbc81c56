"""The Jinja that models' chat templates are written in, as Hugging Face's `transformers` runs it.

In the sandbox: a chat template comes with a model's files, from anywhere. Pure; called by
`chat_template.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from troupe.prompt.errors import FormatError

MAX_SOURCE = 400_000  # characters of a chat template; the longest known are under 30,000
WRONG = (
    jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError,
    RecursionError,
)  # fmt: skip


def compiled(source: str, clock: Callable[[], datetime]) -> jinja2.Template:
    """A chat template. Raises `FormatError` if it cannot be parsed."""
    if len(source) > MAX_SOURCE:
        raise FormatError(f"the chat template is over {MAX_SOURCE} characters")
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = _raise
    env.globals["strftime_now"] = lambda form: clock().strftime(form)
    env.globals["namespace"] = _Names
    try:
        return env.from_string(source)
    except (*WRONG, SyntaxError) as error:
        raise FormatError(f"the chat template cannot be parsed: {error}") from error


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
