"""A template: Prompt Poet's YAML list of parts with Jinja, made safe for strangers' text. Pure.

Structure comes from the template alone. Values are bound after the YAML is read and arrive byte for
byte. The one loop over `history` stands at the top level and sees nothing but its message, so that
a message's parts never change while the message does not: a turn renders only what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import meta, nodes

from troupe.prompt.data import check_text, plain
from troupe.prompt.errors import LimitExceeded, TemplateError
from troupe.prompt.sandbox import (
    MARK,
    MARK_END,
    RUN,
    Bound,
    Limits,
    Run,
    Traced,
    check,
    environment,
)
from troupe.prompt.types import ChatMessage, Part
from troupe.prompt.yaml_parts import BadParts, read_parts

HISTORY = "history"
_ENV = environment()
_WRONG = (
    jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError,
    RecursionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A run of a template's nodes, compiled."""

    tree: nodes.Template
    code: jinja2.Template


class Template:
    """A parsed template.

    template = Template.parse("- name: card\\n  role: system\\n  content: You are {{ name }}.")
    template.render({"name": "Mira"}, [])
    """

    def __init__(
        self,
        name: str,
        digest: str,
        limits: Limits,
        stretches: tuple[_Stretch, _Stretch | None, _Stretch],
        message_name: str,
    ) -> None:
        self.name = name
        self.digest = digest  # SHA-256 of the source
        self._limits = limits
        self._head, self._message, self._tail = stretches
        self._message_name = message_name

    @classmethod
    def parse(cls, text: str, name: str = "template", limits: Limits | None = None) -> Template:
        """Check and compile a template's source. Raises `TemplateError`."""
        limits = limits or Limits()
        if len(text) > limits.source_chars:
            raise LimitExceeded(f"the source is over {limits.source_chars} characters", name)
        for character in (MARK, MARK_END):
            if character in text:
                line = text[: text.index(character)].count("\n") + 1
                raise TemplateError(f"the character U+{ord(character):04X} is kept", name, line)
        try:
            tree = _ENV.parse(text)
            check(tree, name)
            head, loop, tail = _split(tree, name)
            message = None if loop is None else _message_nodes(head, loop, name)
            stretches = (
                _stretch(head),
                None if message is None else _stretch(message),
                _stretch([n for n in head if isinstance(n, nodes.Assign)] + tail),
            )
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(error.message or "a syntax error", name, error.lineno) from error
        except RecursionError as error:
            raise TemplateError("expressions are nested too deeply", name) from error
        target = loop.target.name if loop and isinstance(loop.target, nodes.Name) else ""
        return cls(name, hashlib.sha256(text.encode()).hexdigest(), limits, stretches, target)

    def head(self, data: Mapping[str, Any]) -> tuple[Part, ...]:
        """The parts before the history. Raises `TemplateError` and `DataError`."""
        return self._parts(self._head, plain(data))

    def message(self, message: ChatMessage) -> tuple[Part, ...]:
        """The parts that one message of the history comes to."""
        if self._message is None:
            return ()
        fields = {key: getattr(message, key) for key in ("id", "role", "name", "text")}
        for key, value in fields.items():
            check_text(value, f"{HISTORY}.{key}")
        return self._parts(self._message, {self._message_name: fields})

    def tail(self, data: Mapping[str, Any]) -> tuple[Part, ...]:
        """The parts after the history."""
        return self._parts(self._tail, plain(data))

    def render(
        self, data: Mapping[str, Any], history: Iterable[ChatMessage] = ()
    ) -> tuple[Part, ...]:
        """All parts, nothing cut."""
        said = [part for message in history for part in self.message(message)]
        return (*self.head(data), *said, *self.tail(data))

    def _parts(self, stretch: _Stretch, data: dict[str, Any]) -> tuple[Part, ...]:
        run = Run(self.name, self._limits)
        text = self._run(stretch.code, run, data)
        try:
            return read_parts(text, run.values, frozenset(data), self._limits.parts)
        except BadParts as error:
            line = self._source_line(stretch, data, error.line)
            raise TemplateError(error.why, self.name, line, error.part) from error

    def _run(self, code: jinja2.Template, run: Run, data: dict[str, Any]) -> str:
        token = RUN.set(run)
        try:
            return "".join(run.text(piece) for piece in code.generate(data))
        except LimitExceeded as error:
            line = _template_line(error.__traceback__)
            raise LimitExceeded(error.why, self.name, line) from error
        except _WRONG as error:
            line = _template_line(error.__traceback__)
            raise TemplateError(str(error), self.name, line) from error
        finally:
            RUN.reset(token)

    def _source_line(self, stretch: _Stretch, data: dict[str, Any], rendered_line: int) -> int:
        """The line of the source that a line of the rendered text came from: renders once more,
        with each piece of text saying where it stands."""
        run = Run(self.name, self._limits, trace=[])
        code = _compiled(Traced().visit(deepcopy(stretch.tree)))
        self._run(code, run, data)
        assert run.trace is not None
        seen, last = 0, 0
        for line, text in run.trace:
            breaks = text.count("\n")
            if line:
                last = line
                if seen + breaks >= rendered_line:
                    # The text after the last break may be empty: then the next piece is meant.
                    if seen + breaks > rendered_line or not text.endswith("\n"):
                        return line + rendered_line - seen
                    last = line + breaks
            seen += breaks
        return last


def _split(
    tree: nodes.Template, name: str
) -> tuple[list[nodes.Node], nodes.For | None, list[nodes.Node]]:
    """The nodes before the loop over the history, the loop, and those after it."""
    body = list(tree.body)
    loops = [n for n, node in enumerate(body) if _is_history_loop(node)]
    if len(loops) > 1:
        raise TemplateError(f"{HISTORY} is looped over twice", name, body[loops[1]].lineno)
    head, loop, tail = body, None, []
    if loops:
        found = body[loops[0]]
        assert isinstance(found, nodes.For)
        head, loop, tail = body[: loops[0]], found, body[loops[0] + 1 :]
    for node in [*head, *tail, *(loop.body if loop else ())]:
        for used in [node, *node.find_all(nodes.Name)]:
            if isinstance(used, nodes.Name) and used.name == HISTORY:
                raise TemplateError(
                    f"{HISTORY} may only stand in one loop at the top level, "
                    f"{{% for message in {HISTORY} %}}",
                    name,
                    used.lineno,
                )
    return head, loop, tail


def _is_history_loop(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.For)
        and isinstance(node.iter, nodes.Name)
        and node.iter.name == HISTORY
    )


def _message_nodes(head: list[nodes.Node], loop: nodes.For, name: str) -> list[nodes.Node]:
    """What renders one message: the loop's body, after the names that were set before it."""
    if not isinstance(loop.target, nodes.Name) or loop.test or loop.else_:
        raise TemplateError(
            f"the loop over {HISTORY} names one variable, with no condition and no else",
            name,
            loop.lineno,
        )
    used = {n.name for node in loop.body for n in _names_in(node)}
    sets: list[nodes.Node] = []
    for node in reversed([n for n in head if isinstance(n, nodes.Assign)]):
        assert isinstance(node.target, nodes.Name)
        if node.target.name in used:
            used |= {n.name for n in _names_in(node.node)}
            sets.insert(0, node)
    chosen = [*sets, *loop.body]
    free = meta.find_undeclared_variables(_tree(chosen)) - {loop.target.name}
    if free:
        raise TemplateError(
            f"the loop over {HISTORY} may use its message only, not {', '.join(sorted(free))}: "
            "what else it needs would make every message change with it",
            name,
            loop.lineno,
        )
    return chosen


def _names_in(node: nodes.Node) -> list[nodes.Name]:
    own = [node] if isinstance(node, nodes.Name) else []
    return [*own, *node.find_all(nodes.Name)]


def _tree(body: list[nodes.Node]) -> nodes.Template:
    # Copied, since a name that is set before the loop stands in several stretches.
    tree = nodes.Template(deepcopy(body), lineno=1)
    tree.set_environment(_ENV)
    return tree


def _stretch(body: list[nodes.Node]) -> _Stretch:
    tree = _tree(body)
    Bound().visit(tree)
    tree.set_environment(_ENV)
    return _Stretch(tree, _compiled(tree))


def _compiled(tree: nodes.Template) -> jinja2.Template:
    tree.set_environment(_ENV)
    return _ENV.from_string(tree)


def _template_line(trace: TracebackType | None) -> int:
    """Jinja makes the frames of a template look like its source."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
