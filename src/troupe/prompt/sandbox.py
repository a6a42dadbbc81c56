"""The Jinja that a stranger's template may use, all of it bounded.

A template is checked node by node against lists of what is allowed; nothing can be called but its
own macros and a few functions, and there are no methods and no attributes but keys of data. What an
expression gives does not go into the text: a mark stands in its place. Called by `template.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.filters import FILTERS, do_int, do_round, make_attrgetter
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from troupe.prompt.data import MAX_INT
from troupe.prompt.errors import TemplateError
from troupe.prompt.macros import replace_names
from troupe.prompt.run import RUN, Fragment, Traced, joined, whole

_STATEMENTS = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign,
    nodes.AssignBlock, nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport,
)  # fmt: skip
_EXPRESSIONS = (
    nodes.Name, nodes.NSRef, nodes.Const, nodes.List, nodes.Tuple, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat,
    nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call,
)  # fmt: skip
FILTERS_ALLOWED = frozenset((
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int",
    "items", "join", "last", "length", "list", "lower", "map", "max", "min", "names", "reject",
    "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort", "string", "sum",
    "title", "trim", "truncate", "unique", "upper", "wordcount",
))  # fmt: skip
_OF_TEXTS = frozenset((
    "capitalize", "lower", "names", "replace", "string", "title", "trim", "truncate", "upper",
    "wordcount",
))  # fmt: skip
TESTS_ALLOWED = frozenset((
    "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false", "float",
    "ge", "gt", "in", "integer", "iterable", "le", "lower", "lt",
    "mapping", "ne", "none", "number", "odd", "sequence", "string", "true",
    "undefined", "upper",
))  # fmt: skip
FUNCTIONS = ("escape_special_characters", "namespace", "range")
_LOOP = frozenset((
    "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth",
    "depth0", "previtem", "nextitem", "cycle", "changed",
))  # fmt: skip
MAX_PRECISION = 15
MAX_TRIM = 100
_LOOP_CALLS = (LoopContext.cycle, LoopContext.changed)


@jinja2.pass_context
def _put_out(_context: object, value: Any) -> str:
    """What an expression in braces leaves in the text: a mark for its value, or what a macro made
    of the template's own text."""
    if isinstance(value, Traced):
        return value
    run = RUN.get()
    run.step()
    if isinstance(value, Fragment):
        return run.text(value.marked)
    mark = run.mark(_scalar(value))
    return Traced(mark, [(0, mark)]) if run.tracing else mark


def _scalar(value: Any) -> str:
    if isinstance(value, Undefined):
        return str(value)  # raises: undefined is an error
    if value is None:
        return ""
    if isinstance(value, str | int | float | Fragment):
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
    RUN.get().room(len(texts) * len(between) + sum(map(len, texts)))
    return str(between).join(texts)


def _replace(text: str, old: str, new: str) -> str:
    text, old, new = _scalar(text), _scalar(old), _scalar(new)
    RUN.get().room(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _sliced(value: Any, start: Any, stop: Any, step: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises
    if not isinstance(value, str | list | tuple):
        raise TypeError(f"a {type(value).__name__} cannot be cut")
    return value[start:stop:step]


@jinja2.pass_environment
def _sum(
    env: jinja2.Environment, values: Iterable[Any], attribute: str | None = None, start: float = 0
) -> int | float:
    """Of numbers alone: that of lists would take the square of their length in time."""
    found = list(map(make_attrgetter(env, attribute), values) if attribute else values)
    for value in (start, *found):
        if not isinstance(value, int | float):
            raise TypeError(f"sum takes numbers, not a {type(value).__name__}")
    return _bounded(sum(found, start), "sum")


def _trim(text: Any, chars: str | None = None) -> str:
    if chars is not None and len(chars) > MAX_TRIM:
        raise ValueError(f"trim takes up to {MAX_TRIM} characters")
    return _scalar(text).strip(chars)


def _names(text: str, char: str, user: str) -> str:
    run = RUN.get()
    macros = text.count("{{") + text.count("<")
    if macros * max(len(char), len(user)) > run.limits.chars:
        run.fail(f"more than {run.limits.chars} characters")
    return run.text(replace_names(text, char, user))


def _traced(text: str, line: int) -> Traced:
    return Traced(text, [(line, text)])


def _range(*bounds: int) -> range:
    numbers, run = range(*bounds), RUN.get()
    if len(numbers) > run.limits.steps:
        run.fail(f"a range of more than {run.limits.steps} numbers")
    return numbers


def _int(value: Any, default: int = 0, base: int = 10) -> Any:
    return _bounded(do_int(value, default, base), "int")


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if not -MAX_PRECISION <= precision <= MAX_PRECISION:
        raise ValueError(f"round takes a precision of up to {MAX_PRECISION} digits")
    return do_round(value, precision, method)


def _bounded(number: int | float, what: str) -> int | float:
    if abs(number) > MAX_INT:
        raise ValueError(f"{what} gives a number over {MAX_INT}")
    return number


def _unescaped(value: Any) -> str:
    """A value is never read as YAML here, so that there is nothing to escape."""
    return _scalar(value)


class _Environment(SandboxedEnvironment):
    """Keys of data in place of attributes, and arithmetic that cannot grow without end."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%"])
    concat = staticmethod(joined)  # type: ignore[assignment]

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        RUN.get().work()
        if isinstance(obj, Undefined):
            str(obj)  # raises
        if isinstance(obj, LoopContext) and argument in _LOOP:
            return getattr(obj, argument)
        if isinstance(obj, Namespace) and isinstance(argument, str) and argument[:1] != "_":
            try:
                return getattr(obj, argument)
            except AttributeError:
                return self.undefined(obj=obj, name=argument)
        obj = whole(obj)
        if isinstance(obj, dict | list | str | tuple):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                pass
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        left, right = _looked_at(left), _looked_at(right)
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return RUN.get().text(left + right)
        if not all(isinstance(side, int | float) for side in (left, right)):
            raise TypeError(f"{operator} takes numbers; ~ joins texts")
        result: int | float = super().call_binop(context, operator, left, right)
        return _bounded(result, operator)

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        run = RUN.get()
        run.step()
        if isinstance(called, Undefined):
            str(called)  # raises
        functions = (*_LOOP_CALLS, *self.globals.values())
        function = getattr(called, "__func__", called)
        known = any(function is one for one in functions) and "caller" not in kwargs
        if not (isinstance(called, Macro) or known):
            raise TypeError(f"macros can be called, and {', '.join(FUNCTIONS)}; nothing else")
        if run.depth >= run.limits.depth:
            run.fail(f"more than {run.limits.depth} calls within calls")
        run.depth += 1
        try:
            return context.call(called, *args, **kwargs)
        finally:
            run.depth -= 1


def environment() -> jinja2.Environment:
    """The one environment for all templates; it holds nothing of any of them."""
    env = _Environment(
        undefined=jinja2.StrictUndefined, finalize=_put_out, optimized=False, cache_size=0
    )
    env.globals.clear()
    env.globals |= dict(zip(FUNCTIONS, (_unescaped, Namespace, _range), strict=True))
    own: dict[str, Callable[..., Any]] = {
        "int": _int, "join": _join, "names": _names, "replace": _replace, "round": _round,
        "sum": _sum, "trim": _trim,
    }  # fmt: skip
    filters: dict[str, Any] = {name: FILTERS[name] for name in FILTERS_ALLOWED - own.keys()} | own
    filters |= {"counted": _counted, "concat": _concat, "sliced": _sliced}
    tests: dict[str, Any] = dict(TESTS)
    env.filters = {name: _of_wholes(call, name in _OF_TEXTS) for name, call in filters.items()}
    env.filters |= {"traced": _traced, "looked_at": _looked_at}
    env.tests = {name: _of_wholes(tests[name]) for name in TESTS_ALLOWED}
    return env


def _of_wholes(call: Callable[..., Any], of_texts: bool = False) -> Callable[..., Any]:
    """A filter or test sees whole texts, never a piece of the template with marks in it. Looking at
    them takes time, and what it makes takes room. Those of texts see no text that Python has for
    something that is none, such as where a function lies in memory."""
    takes = getattr(call, "jinja_pass_arg", None) is not None

    @wraps(call)  # keeps what Jinja is to pass
    def of_wholes(*args: Any, **kwargs: Any) -> Any:
        run = RUN.get()
        wholes = [whole(arg) for arg in args]
        if of_texts:
            wholes[takes] = _scalar(wholes[takes])
        run.work(sum(map(_size, wholes)))
        made = call(*wholes, **{key: whole(value) for key, value in kwargs.items()})
        run.room(_size(made))
        return made

    return of_wholes


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | dict | range) else 0


def _looked_at(value: Any) -> Any:
    value = whole(value)
    RUN.get().work(_size(value))
    return value


def check(tree: nodes.Template, name: str) -> None:
    """Raises `TemplateError` for whatever is not on the lists."""
    for node in tree.find_all(nodes.Node):
        why = _wrong(node)
        if why:
            raise TemplateError(why, name, node.lineno or 0)


def _wrong(node: nodes.Node) -> str:
    if isinstance(node, nodes.For):
        return "loops may not be recursive" if node.recursive else ""
    if isinstance(node, nodes.Filter):
        return "" if node.name in FILTERS_ALLOWED else f"there is no filter {node.name!r}"
    if isinstance(node, nodes.Test):
        return "" if node.name in TESTS_ALLOWED else f"there is no test {node.name!r}"
    if isinstance(node, nodes.Assign | nodes.AssignBlock):
        if not isinstance(node.target, nodes.Name | nodes.NSRef):
            return "set gives a value to one name"
        return "set takes no filter" if getattr(node, "filter", None) else ""
    if isinstance(node, nodes.Call):
        return "a call names its arguments" if node.dyn_args or node.dyn_kwargs else ""
    if isinstance(node, nodes.Const):
        over = isinstance(node.value, int) and abs(node.value) > MAX_INT
        return f"a number is over {MAX_INT}" if over else ""
    if isinstance(node, nodes.List | nodes.Tuple):
        if not all(isinstance(i, nodes.Const | nodes.Name) for i in node.items):
            return "a list holds constants and names only"
        loaded = getattr(node, "ctx", "load") == "load"
        if loaded and any(isinstance(i, nodes.Name) for i in node.items):
            return "a list holds constants only"
        return ""
    if not isinstance(node, _STATEMENTS + _EXPRESSIONS + (nodes.Keyword,)):
        return f"a template may not use {type(node).__name__.lower()} here"
    return ""


class Bound(NodeTransformer):
    """Counts the turns of loops and the length of joined text, and what is compared and cut."""

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filter(node.expr, "looked_at")
        for operand in node.ops:
            operand.expr = _filter(operand.expr, "looked_at")
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        cut = node.arg
        if not isinstance(cut, nodes.Slice):
            return node
        none = nodes.Const(None, lineno=node.lineno)
        return _filter(
            node.node, "sliced", *[one or none for one in (cut.start, cut.stop, cut.step)]
        )

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filter(node.iter, "counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "concat")


class Tracing(NodeTransformer):
    """Lets each piece of the template's own text say its line."""

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        text = nodes.Const(node.data, lineno=node.lineno)
        line = nodes.Const(node.lineno, lineno=node.lineno)
        return _filter(text, "traced", line)


def _filter(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
