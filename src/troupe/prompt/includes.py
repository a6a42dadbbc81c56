"""The files that one template is made of, read as one tree. Pure: a loader gives their texts.

An included file stands in its place in a scope of its own; of an imported one, only its macros and
names are kept, under names that nothing else has. Each line has a number of its own over all files,
so that an error in any of them can say where it is. Called by `template.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import takewhile

import jinja2
from jinja2 import meta, nodes
from jinja2.visitor import NodeTransformer

from troupe.prompt.errors import LimitExceeded, TemplateError
from troupe.prompt.run import MARK, MARK_END, Limits
from troupe.prompt.sandbox import FUNCTIONS, check

Loader = Callable[[str], str | None]
"""The text of a file by its name, or None if there is none."""

_LINES = 1 << 20  # each file has this many numbers for its lines
_OWN = "imported_"  # begins the names of what is imported


class Sources:
    """The texts of a template and of what it includes."""

    def __init__(
        self, env: jinja2.Environment, name: str, limits: Limits, loader: Loader | None
    ) -> None:
        self._env = env
        self._name = name
        self._limits = limits
        self._loader = loader
        self._files: list[tuple[str, str]] = []
        self._chars = 0

    @property
    def digest(self) -> str:
        """SHA-256 over all texts, in hexadecimal digits."""
        texts = [text.encode() for _, text in self._files]
        if len(texts) == 1:
            return hashlib.sha256(texts[0]).hexdigest()
        return hashlib.sha256(b"".join(hashlib.sha256(t).digest() for t in texts)).hexdigest()

    @property
    def texts(self) -> dict[str, str]:
        """The files that were read, by name."""
        return dict(self._files)

    def tree(self, text: str) -> nodes.Template:
        """The whole template. Raises `TemplateError`."""
        return self._read(self._name, text, (self._name,))

    def where(self, number: int) -> tuple[str, int, str | None]:
        """(File, line, name of the part that the line belongs to if any) of a line's number."""
        file, line = divmod(number, _LINES)
        if file >= len(self._files):
            return self._name, 0, None
        name, text = self._files[file]
        return name, line, part_at(text, line)

    def error(self, why: str, number: int, part: str | None = None) -> TemplateError:
        """An error at a line's number."""
        name, line, found = self.where(number)
        return TemplateError(why, name, line, part or found)

    def load(self, node: nodes.Include | nodes.Import | nodes.FromImport) -> tuple[str, str] | None:
        """(Name, text) of the first file that there is of those that are named."""
        names = _constants(node.template)
        if names is None:
            raise self.error("a file is named by a text in quotes", node.lineno)
        for name in names:
            text = self._loader(name) if self._loader else None
            if text is not None:
                return name, text
        if getattr(node, "ignore_missing", False):
            return None
        raise self.error(f"there is no file {' or '.join(map(repr, names))}", node.lineno)

    def read(self, found: tuple[str, str], within: tuple[str, ...]) -> nodes.Template:
        name, text = found
        if name in within:
            raise TemplateError(f"the file {name!r} includes itself", within[-1])
        if len(within) > self._limits.depth:
            raise LimitExceeded(f"files are nested over {self._limits.depth} deep", within[-1])
        return self._read(name, text, (*within, name))

    def _read(self, name: str, text: str, within: tuple[str, ...]) -> nodes.Template:
        self._chars += len(text)
        if self._chars > self._limits.source_chars:
            raise LimitExceeded(f"the source is over {self._limits.source_chars} characters", name)
        for character in (MARK, MARK_END):
            if character in text:
                line = text[: text.index(character)].count("\n") + 1
                raise TemplateError(f"the character U+{ord(character):04X} is kept", name, line)
        tree = self._parsed(text, name)
        number = len(self._files)
        self._files.append((name, text))
        for node in [tree, *tree.find_all(nodes.Node)]:
            node.lineno = (node.lineno or 0) + number * _LINES
        found = _Inline(self, within, number).visit(tree)
        assert isinstance(found, nodes.Template)
        return found

    def _parsed(self, text: str, name: str) -> nodes.Template:
        try:
            tree = self._env.parse(text)
            check(tree, name)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(error.message or "a syntax error", name, error.lineno) from error
        except RecursionError as error:
            raise TemplateError("expressions are nested too deeply", name) from error
        except ValueError as error:  # a number of thousands of digits
            raise TemplateError(str(error), name) from error
        for node in tree.find_all(nodes.Name):
            if node.name.startswith(_OWN):
                raise TemplateError(f"names may not begin with {_OWN!r}", name, node.lineno)
        return tree


class _Inline(NodeTransformer):
    """Puts files in the places where they are named."""

    def __init__(self, sources: Sources, within: tuple[str, ...], number: int) -> None:
        self._sources = sources
        self._within = within
        self._number = number
        self._imports = 0

    def visit_Include(self, node: nodes.Include) -> Sequence[nodes.Node]:  # noqa: N802
        found = self._sources.load(node)
        if found is None:
            return []
        tree = self._sources.read(found, self._within)
        if not node.with_context:
            self._refuse_data(tree, node, found[0])
        return [nodes.Scope(tree.body, lineno=node.lineno)]

    def visit_Import(self, node: nodes.Import) -> Sequence[nodes.Node]:  # noqa: N802
        body, names = self._module(node)
        pairs = [
            nodes.Pair(
                nodes.Const(name, lineno=node.lineno),
                nodes.Name(own, "load", lineno=node.lineno),
                lineno=node.lineno,
            )
            for name, own in names.items()
        ]
        return [*body, _assign(node.target, nodes.Dict(pairs, lineno=node.lineno))]

    def visit_FromImport(self, node: nodes.FromImport) -> Sequence[nodes.Node]:  # noqa: N802
        body, names = self._module(node)
        for wanted in node.names:
            name, alias = wanted if isinstance(wanted, tuple) else (wanted, wanted)
            if name not in names:
                raise self._sources.error(f"the imported file has no {name!r}", node.lineno)
            body.append(_assign(alias, nodes.Name(names[name], "load", lineno=node.lineno)))
        return body

    def _module(
        self, node: nodes.Import | nodes.FromImport
    ) -> tuple[list[nodes.Node], dict[str, str]]:
        found = self._sources.load(node)
        assert found is not None
        tree = self._sources.read(found, self._within)
        if not node.with_context:
            self._refuse_data(tree, node, found[0])
        body: list[nodes.Node] = []
        for statement in tree.body:
            if isinstance(statement, nodes.Macro | nodes.Assign | nodes.AssignBlock):
                body.append(statement)
            elif not isinstance(statement, nodes.Output) or not _is_text(statement):
                why = "an imported file holds macros and names that are set, and nothing else"
                raise self._sources.error(why, statement.lineno)
        self._imports += 1
        prefix = f"{_OWN}{self._number}_{self._imports}_"
        names = {name: prefix + name for name in _defined(body)}
        return [_Rename(names).visit(statement) for statement in body], names

    def _refuse_data(self, tree: nodes.Template, node: nodes.Node, name: str) -> None:
        free = meta.find_undeclared_variables(tree) - set(FUNCTIONS)
        if free:
            why = f"{name!r} is read without context, and uses {', '.join(sorted(free))}"
            raise self._sources.error(why, node.lineno)


class _Rename(NodeTransformer):
    """Other names for what a file defines, but where a macro's argument has the name."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: nodes.Name) -> nodes.Name:  # noqa: N802
        node.name = self._names.get(node.name, node.name)
        return node

    def visit_NSRef(self, node: nodes.NSRef) -> nodes.NSRef:  # noqa: N802
        node.name = self._names.get(node.name, node.name)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802
        node.name = self._names.get(node.name, node.name)
        arguments = {argument.name for argument in node.args}
        inner = {name: own for name, own in self._names.items() if name not in arguments}
        _Rename(inner).generic_visit(node)
        return node


def _assign(name: str, value: nodes.Expr) -> nodes.Assign:
    return nodes.Assign(nodes.Name(name, "store", lineno=value.lineno), value, lineno=value.lineno)


def _defined(body: Sequence[nodes.Node]) -> list[str]:
    found = []
    for node in body:
        if isinstance(node, nodes.Macro):
            found.append(node.name)
        elif isinstance(node, nodes.Assign | nodes.AssignBlock) and isinstance(
            node.target, nodes.Name
        ):
            found.append(node.target.name)
    return found


def _is_text(node: nodes.Output) -> bool:
    return all(isinstance(child, nodes.TemplateData) for child in node.nodes)


def _constants(node: nodes.Node) -> list[str] | None:
    items = node.items if isinstance(node, nodes.List | nodes.Tuple) else [node]
    values = [item.value for item in items if isinstance(item, nodes.Const)]
    texts = [value for value in values if isinstance(value, str)]
    return texts if texts and len(texts) == len(items) else None


def part_at(text: str, line: int) -> str | None:
    """The name of the part that a line of a template's text stands in, as it is written there."""
    lines = text.split("\n")
    dashes = [(_indent(one), n) for n, one in enumerate(lines) if one.lstrip().startswith("- ")]
    if not dashes or not 0 < line <= len(lines):
        return None
    outer = min(dashes)[0]
    starts = [n for indent, n in dashes if indent == outer and n < line]
    if not starts:
        return None
    start = starts[-1]
    body = list(takewhile(lambda one: not one.strip() or _indent(one) > outer, lines[start + 1 :]))
    if line > start + 1 + len(body):
        return None
    first = lines[start].replace("-", " ", 1)
    for one in [first, *body]:
        key, colon, value = one.strip().partition(":")
        if colon and key == "name" and _indent(one) == _indent(first):
            return value.strip().strip("\"'") or None
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
