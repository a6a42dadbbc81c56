"""Which data a template uses, and where. Pure; reads the template's tree and renders nothing.

A path is the way to a value: `characters.*.name` is the name of each item of `characters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes

from troupe.prompt.sandbox import FUNCTIONS

Path = tuple[str, ...]
ITEM = "*"
_GUARDS = ("defined", "undefined")
_DEFAULTS = ("default", "d")


@dataclass(frozen=True, slots=True)
class Use:
    """A value that the template looks at. `index`: it chooses which item of a list is meant."""

    path: Path
    line: int  # over all files, as `Sources.where` takes it
    index: bool
    guarded: bool


@dataclass(slots=True)
class _Walk:
    found: list[Use] = field(default_factory=list)
    guarded: set[Path] = field(default_factory=set)

    def body(self, body: Iterable[nodes.Node], scope: dict[str, Path | None]) -> None:
        for node in body:
            self.node(node, scope)

    def node(self, node: nodes.Node, scope: dict[str, Path | None], index: bool = False) -> None:
        if isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem):
            self._chain(node, scope, index)
        elif isinstance(node, nodes.For):
            self.node(node.iter, scope)
            inner = {**scope, "loop": None, **dict.fromkeys(_targets(node.target))}
            path = _path(node.iter, scope)
            if isinstance(node.target, nodes.Name) and path:
                inner[node.target.name] = (*path, ITEM)
            self.body([*([node.test] if node.test else []), *node.body], inner)
            self.body(node.else_, dict(scope))
        elif isinstance(node, nodes.Assign):
            self.node(node.node, scope)
            for name in _targets(node.target):
                scope[name] = _path(node.node, scope)
        elif isinstance(node, nodes.AssignBlock):
            self.body(node.body, dict(scope))
            scope |= dict.fromkeys(_targets(node.target))
        elif isinstance(node, nodes.Macro):
            scope[node.name] = None
            names = [one.name for one in node.args] + ["caller", "varargs", "kwargs"]
            self.body([*node.defaults, *node.body], {**scope, **dict.fromkeys(names)})
        elif isinstance(node, nodes.CallBlock):
            self.node(node.call, scope)
            self.body(node.body, {**scope, **dict.fromkeys(one.name for one in node.args)})
        elif isinstance(node, nodes.Scope):
            self.body(node.body, dict(scope))
        elif isinstance(node, nodes.If):
            self.node(node.test, scope)
            # What either branch sets, what comes after may see.
            for branch in (node.body, node.elif_, node.else_):
                self.body(branch, scope)
        else:
            self._guards(node, scope)
            for child in node.iter_child_nodes():
                self.node(child, scope, index)

    def _guards(self, node: nodes.Node, scope: Mapping[str, Path | None]) -> None:
        test = isinstance(node, nodes.Test) and node.name in _GUARDS
        default = isinstance(node, nodes.Filter) and node.name in _DEFAULTS
        if (test or default) and isinstance(node, nodes.Test | nodes.Filter) and node.node:
            path = _path(node.node, scope)
            if path:
                self.guarded.add(path)

    def _chain(
        self, node: nodes.Name | nodes.Getattr | nodes.Getitem, scope: dict[str, Path | None],
        index: bool,
    ) -> None:  # fmt: skip
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const):
            self.node(node.arg, scope, index=True)
        path = _path(node, scope)
        if path:
            self.found.append(Use(path, node.lineno, index, False))
        elif not isinstance(node, nodes.Name):
            self.node(node.node, scope, index)


def uses(body: Sequence[nodes.Node], bound: Iterable[str] = ()) -> list[Use]:
    """Every value of the data that the nodes look at, but what `bound` names."""
    walk = _Walk()
    walk.body(body, dict.fromkeys([*FUNCTIONS, *bound]))
    return [Use(use.path, use.line, use.index, use.path in walk.guarded) for use in walk.found]


def missing(path: Path, data: Any) -> Path:
    """The beginning of `path` up to what the data lack, or nothing if they lack none of it."""
    if not path:
        return ()
    if path[0] == ITEM:
        items = data if isinstance(data, list) else []
        rests = [missing(path[1:], item) for item in items]
        return next(((ITEM, *rest) for rest in rests if rest), ())
    if isinstance(data, list) and path[0].isdigit():
        return ()
    if not isinstance(data, Mapping) or path[0] not in data:
        return path[:1]
    rest = missing(path[1:], data[path[0]])
    return (path[0], *rest) if rest else ()


def _path(node: nodes.Node, scope: Mapping[str, Path | None]) -> Path | None:
    """The path that an expression stands for, if it is nothing else."""
    if isinstance(node, nodes.Name):
        return scope.get(node.name, (node.name,))
    if isinstance(node, nodes.Getattr):
        inner = _path(node.node, scope)
        return (*inner, node.attr) if inner else None
    if isinstance(node, nodes.Getitem):
        inner = _path(node.node, scope)
        if not inner:
            return None
        if isinstance(node.arg, nodes.Slice):
            return inner
        constant = isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
        return (*inner, node.arg.value) if constant else (*inner, ITEM)  # type: ignore[attr-defined]
    return None


def _targets(target: nodes.Node) -> list[str]:
    if isinstance(target, nodes.Name):
        return [target.name]
    return [name.name for name in target.find_all(nodes.Name)]
