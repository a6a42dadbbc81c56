"""The Jinja that a stranger's template may use: values, loops and conditions, all bounded.

A template is checked node by node against lists of what is allowed; there are no calls, no methods
and no attributes but keys of data. What an expression gives does not go into the text: it is kept
aside, and an opaque mark stands in its place. Called by `template.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.filters import FILTERS
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

from troupe.prompt.data import MAX_INT
from troupe.prompt.errors import LimitExceeded, TemplateError
from troupe.prompt.macros import replace_names

# Private-use characters: text to YAML, and refused in a template's source.
MARK, MARK_END = "\ue000", "\ue001"

_STATEMENTS = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign)
_EXPRESSIONS = (
    nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat,
    nodes.CondExpr, nodes.Filter, nodes.Test,
)  # fmt: skip
FILTERS_ALLOWED = frozenset((
    "abs", "capitalize", "count", "d", "default", "first", "float", "int",
    "items", "join", "last", "length", "list", "lower", "names", "reject",
    "rejectattr", "reverse", "round", "select", "selectattr", "sort", "string", "title",
    "trim", "unique", "upper",
))  # fmt: skip
TESTS_ALLOWED = frozenset((
    "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float",
    "ge", "gt", "in", "integer", "iterable", "le", "lower", "lt",
    "mapping", "ne", "none", "number", "odd", "sequence", "string", "true",
    "undefined", "upper",
))  # fmt: skip
_LOOP = frozenset((
    "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth",
    "depth0",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a template may take, for one rendering of one of its three stretches."""

    source_chars: int = 64_000
    steps: int = 20_000  # turns of all loops together, and values put out
    chars: int = 2_000_000  # text of the template and of values
    parts: int = 2_000
    cpu_seconds: float = 2.0


@dataclass(slots=True)
class Run:
    """One rendering: what it may still take, and the values that it put out."""

    name: str
    limits: Limits
    values: list[str] = field(default_factory=list)
    trace: list[tuple[int, str]] | None = None  # (template line, text), when lines are asked for
    steps: int = 0
    chars: int = 0
    began: float = field(default_factory=time.thread_time)

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.limits.steps:
            self.fail(f"more than {self.limits.steps} loop turns and values")
        if self.steps % 64 == 0 and time.thread_time() - self.began > self.limits.cpu_seconds:
            self.fail(f"more than {self.limits.cpu_seconds:g} s of computing")

    def text(self, text: str) -> str:
        self.chars += len(text)
        if self.chars > self.limits.chars:
            self.fail(f"more than {self.limits.chars} characters")
        return text

    def fail(self, why: str) -> None:
        raise LimitExceeded(f"the template takes {why}", self.name)


RUN: ContextVar[Run] = ContextVar("troupe_prompt_run")


class _Literal(str):
    """The template's own text, on its way through `_put_out` while lines are traced."""

    __slots__ = ()


@jinja2.pass_context
def _put_out(_context: object, value: Any) -> str:
    """What an expression in braces leaves in the text: a mark for its value."""
    run = RUN.get()
    if isinstance(value, _Literal):
        return value
    run.step()
    run.values.append(run.text(_scalar(value)))
    mark = f"{MARK}{len(run.values) - 1}{MARK_END}"
    if run.trace is not None:
        run.trace.append((0, mark))
    return mark


def _scalar(value: Any) -> str:
    if isinstance(value, Undefined):
        return str(value)  # raises: undefined is an error
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no text of its own: loop over it, or join it")


def _counted(iterable: Iterable[Any]) -> Iterator[Any]:
    run = RUN.get()
    for item in iterable:
        run.step()
        yield item


def _concat(pieces: Iterable[Any]) -> str:
    return RUN.get().text("".join(_scalar(piece) for piece in pieces))


def _join(pieces: Iterable[Any], between: str = "") -> str:
    texts = [_scalar(piece) for piece in pieces]
    run = RUN.get()
    if len(texts) * len(between) > run.limits.chars:
        run.fail(f"more than {run.limits.chars} characters")
    return run.text(str(between).join(texts))


def _names(text: str, char: str, user: str) -> str:
    run = RUN.get()
    macros = text.count("{{") + text.count("<")
    if macros * max(len(char), len(user)) > run.limits.chars:
        run.fail(f"more than {run.limits.chars} characters")
    return run.text(replace_names(text, char, user))


def _traced(text: str, line: int) -> _Literal:
    trace = RUN.get().trace
    assert trace is not None
    trace.append((line, text))
    return _Literal(text)


class _Environment(SandboxedEnvironment):
    """Keys of data in place of attributes, and arithmetic that cannot grow without end."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%"])

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            str(obj)  # raises
        if isinstance(obj, LoopContext) and argument in _LOOP:
            return getattr(obj, argument)
        if isinstance(obj, dict | list | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return RUN.get().text(left + right)
        if not all(isinstance(side, int | float) for side in (left, right)):
            raise TypeError(f"{operator} takes numbers; ~ joins texts")
        result = super().call_binop(context, operator, left, right)
        if abs(result) > MAX_INT:
            raise ValueError(f"{operator} gives a number over {MAX_INT}")
        return result


def environment() -> jinja2.Environment:
    """The one environment for all templates; it holds nothing of any of them."""
    env = _Environment(
        undefined=jinja2.StrictUndefined, finalize=_put_out, optimized=False, cache_size=0
    )
    env.globals.clear()
    own: dict[str, Callable[..., Any]] = {"join": _join, "names": _names}
    env.filters = {name: FILTERS[name] for name in FILTERS_ALLOWED - own.keys()} | own
    env.filters |= {"counted": _counted, "concat": _concat, "traced": _traced}
    env.tests = {name: test for name, test in env.tests.items() if name in TESTS_ALLOWED}
    return env


def check(tree: nodes.Template, name: str) -> None:
    """Raises `TemplateError` for whatever is not on the lists."""
    for node in tree.find_all(nodes.Node):
        line = node.lineno or 0
        if isinstance(node, nodes.For):
            if node.recursive:
                raise TemplateError("loops may not be recursive", name, line)
        elif isinstance(node, nodes.Filter):
            if node.name not in FILTERS_ALLOWED:
                raise TemplateError(f"there is no filter {node.name!r}", name, line)
        elif isinstance(node, nodes.Test):
            if node.name not in TESTS_ALLOWED:
                raise TemplateError(f"there is no test {node.name!r}", name, line)
        elif isinstance(node, nodes.Assign):
            if not isinstance(node.target, nodes.Name):
                raise TemplateError("set gives a value to one name", name, line)
        elif isinstance(node, nodes.List | nodes.Tuple):
            if not all(isinstance(i, nodes.Const | nodes.Name) for i in node.items):
                raise TemplateError("a list holds constants and names only", name, line)
            if getattr(node, "ctx", "load") == "load" and any(
                isinstance(i, nodes.Name) for i in node.items
            ):
                raise TemplateError("a list holds constants only", name, line)
        elif not isinstance(node, _STATEMENTS + _EXPRESSIONS + (nodes.Keyword,)):
            what = type(node).__name__.lower()
            raise TemplateError(f"a template may not use {what} here", name, line)


class Bound(NodeTransformer):
    """Counts the turns of loops and the length of joined text."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filter(node.iter, "counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "concat")


class Traced(NodeTransformer):
    """Lets each piece of the template's own text say its line."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        text = nodes.Const(node.data, lineno=node.lineno)
        line = nodes.Const(node.lineno, lineno=node.lineno)
        return _filter(text, "traced", line)


def _filter(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
