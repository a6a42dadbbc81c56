"""A template: Prompt Poet's YAML list of parts with Jinja, made safe for strangers' text. Pure.

Structure comes from the template alone. Values are bound after the YAML is read and arrive byte for
byte. The one loop over `history` stands at the top level and sees nothing but its message, so that
a message's parts never change while the message does not: a turn renders only what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import generate

from troupe.prompt.data import check_text, plain
from troupe.prompt.direct import straight
from troupe.prompt.errors import LimitExceeded, TemplateError
from troupe.prompt.includes import Loader, Sources
from troupe.prompt.run import RUN, Limits, Run, lines_of, piece_of
from troupe.prompt.sandbox import Bound, Tracing, environment
from troupe.prompt.stretches import HISTORY, split
from troupe.prompt.types import ChatMessage, Part
from troupe.prompt.yaml_parts import BadParts, read_parts

_ENV = environment()
_MESSAGE = ("id", "role", "name", "text")
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
        sources: Sources,
        limits: Limits,
        stretches: tuple[_Stretch, _Stretch | None, _Stretch],
        message_name: str,
    ) -> None:
        self.name = name
        self.digest = sources.digest  # SHA-256 of the source
        self._sources = sources
        self._limits = limits
        self._head, self._message, self._tail = stretches
        self._message_name = message_name
        said = self._message.tree.body if self._message else []
        self.direct = straight(said, message_name, limits) if said else None

    @classmethod
    def parse(
        cls,
        text: str,
        name: str = "template",
        limits: Limits | None = None,
        loader: Loader | None = None,
    ) -> Template:
        """Check and compile a template's source; `loader` gives the files that it includes or
        imports. Raises `TemplateError`."""
        limits = limits or Limits()
        sources = Sources(_ENV, name, limits, loader)
        try:
            tree = sources.tree(text)
            found = split(tree, sources.error)
            stretches = (
                _stretch(found.head),
                None if found.message is None else _stretch(found.message),
                _stretch(found.tail),
            )
        except jinja2.TemplateSyntaxError as error:  # found by Jinja's compiler, not its parser
            raise sources.error(error.message or "a syntax error", error.lineno) from error
        except (RecursionError, SyntaxError, MemoryError) as error:  # Python's own limits
            raise TemplateError("statements are nested too deeply", name) from error
        return cls(name, sources, limits, stretches, found.target)

    @classmethod
    def load(cls, name: str, loader: Loader, limits: Limits | None = None) -> Template:
        """Parse the file of that name. Raises `TemplateError`, also where there is none."""
        text = loader(name)
        if text is None:
            raise TemplateError("there is no such file", name)
        return cls.parse(text, name, limits, loader)

    def head(self, data: Mapping[str, Any]) -> tuple[Part, ...]:
        """The parts before the history. Raises `TemplateError` and `DataError`."""
        return self._parts(self._head, plain(data, self.name))

    def around(self, data: dict[str, Any]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """The parts before the history and those after it, from data that `plain` gave."""
        return self._parts(self._head, data), self._parts(self._tail, data)

    def message(self, message: ChatMessage) -> tuple[Part, ...]:
        """The parts that one message of the history comes to."""
        if self._message is None:
            return ()
        texts = (message.id, message.role, message.name, message.text)
        if not "".join(texts).isascii():
            for key, value in zip(_MESSAGE, texts, strict=True):
                check_text(value, f"{HISTORY}.{key}", self.name)
        parts = None if self.direct is None else self.direct.parts(message)
        if parts is None:
            fields = dict(zip(_MESSAGE, texts, strict=True))
            parts = self._parts(self._message, {self._message_name: fields})
        if message.attachments and parts:
            return (*parts[:-1], parts[-1]._replace(attachments=message.attachments))
        return parts

    def tail(self, data: Mapping[str, Any]) -> tuple[Part, ...]:
        """The parts after the history."""
        return self._parts(self._tail, plain(data, self.name))

    def render(
        self, data: Mapping[str, Any], history: Iterable[ChatMessage] = ()
    ) -> tuple[Part, ...]:
        """All parts, nothing cut."""
        said = [part for message in history for part in self.message(message)]
        return (*self.head(data), *said, *self.tail(data))

    def _parts(self, stretch: _Stretch, data: dict[str, Any]) -> tuple[Part, ...]:
        run = Run(self.name, self._limits)
        text = "".join(self._run(stretch.code, run, data))
        try:
            return read_parts(text, run, None if stretch is self._message else frozenset(data))
        except BadParts as error:
            line = self._source_line(stretch, data, error.line)
            name, line, _ = self._sources.where(line)
            kind = LimitExceeded if error.limit else TemplateError
            raise kind(error.why, name, line, error.part) from error

    def _run(self, code: jinja2.Template, run: Run, data: dict[str, Any]) -> list[str]:
        token = RUN.set(run)
        try:
            pieces = code.root_render_func(code.new_context(data))
            return [run.text(piece_of(piece)) for piece in pieces]
        except LimitExceeded as error:
            raise LimitExceeded(error.why, *self._place(code, error)) from error
        except _WRONG as error:
            raise TemplateError(str(error), *self._place(code, error)) from error
        finally:
            RUN.reset(token)

    def _place(self, code: jinja2.Template, error: BaseException) -> tuple[str, int, str | None]:
        return self._sources.where(_line(code, error.__traceback__))

    def _source_line(self, stretch: _Stretch, data: dict[str, Any], rendered_line: int) -> int:
        """The line of the source that a line of the rendered text came from: renders once more,
        with each piece of text saying where it stands."""
        run = Run(self.name, self._limits, tracing=True)
        code = _compiled(Tracing().visit(deepcopy(stretch.tree)))
        seen, last = 0, 0
        for line, text in lines_of(self._run(code, run, data)):
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


def _stretch(body: Sequence[nodes.Node]) -> _Stretch:
    # Copied, since a name that is set before the loop stands in several stretches.
    tree = Bound().visit(nodes.Template(deepcopy(list(body)), lineno=1))
    return _Stretch(tree, _compiled(tree))


def _compiled(tree: nodes.Template) -> jinja2.Template:
    # Not by the environment's own method: for an error it would write out as many line breaks as
    # its line's number says, and lines are numbered over all files.
    tree.set_environment(_ENV)
    source = generate(tree, _ENV, None, None, optimized=False)
    assert source is not None
    code = compile(source, "<template>", "exec")
    return jinja2.Template.from_code(_ENV, code, _ENV.make_globals(None))


def _line(code: jinja2.Template, trace: TracebackType | None) -> int:
    """The line of the source that a template's code had come to; 0 if to none."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_globals.get("__jinja_template__") is code:
            line = code.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
