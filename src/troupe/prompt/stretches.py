"""A template in three stretches: before the loop over the history, one message of it, and after.

Each is rendered by itself, so that a turn renders its new messages alone. What could make a
message depend on anything but itself is refused. Pure; called by `template.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jinja2 import meta, nodes

from troupe.prompt.errors import TemplateError
from troupe.prompt.sandbox import FUNCTIONS

HISTORY = "history"
_Error = Callable[[str, int], TemplateError]  # what is wrong, and where


@dataclass(frozen=True, slots=True)
class Stretches:
    """The nodes of each stretch. `target`: the name that a message has in its stretch."""

    head: Sequence[nodes.Node]
    message: Sequence[nodes.Node] | None
    tail: Sequence[nodes.Node]
    target: str


def split(tree: nodes.Template, error: _Error) -> Stretches:
    """Find the loop over the history. Raises what `error` makes."""
    body = _opened(list(tree.body), error)
    loops = [n for n, node in enumerate(body) if _is_history_loop(node)]
    if len(loops) > 1:
        raise error(f"{HISTORY} is looped over twice", body[loops[1]].lineno)
    if not loops:
        _refuse_history(body, error)
        return Stretches(body, None, [], "")
    loop = body[loops[0]]
    assert isinstance(loop, nodes.For)
    head, tail = body[: loops[0]], body[loops[0] + 1 :]
    _refuse_history([*head, *tail, *loop.body], error)
    kept = [kept for node in head for kept in _sets_of(node)]
    _refuse_changing(head, [loop, *tail], error)
    assert isinstance(loop.target, nodes.Name | nodes.Tuple)
    message = _message_nodes(kept, loop, error)
    return Stretches(head, message, [*kept, *tail], _names_in(loop.target)[0].name)


def _opened(body: Sequence[nodes.Node], error: _Error) -> list[nodes.Node]:
    """The statements at the top level, with an included file that holds the loop over the history
    opened up: its names are then those of the whole."""
    opened: list[nodes.Node] = []
    for number, node in enumerate(body):
        if not isinstance(node, nodes.Scope) or not any(map(_is_history_loop, _flat(node))):
            opened.append(node)
            continue
        inner = _opened(list(node.body), error)
        names = {name for one in inner for name in _names_set(one)}
        outside = [n for other in [*body[:number], *body[number + 1 :]] for n in _names_in(other)]
        for name in sorted(names & {one.name for one in outside}):
            raise error(
                f"the file with the loop over {HISTORY} sets {name!r}, which is used outside too",
                node.lineno,
            )
        opened += inner
    return opened


def _flat(scope: nodes.Scope) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    for node in scope.body:
        found += _flat(node) if isinstance(node, nodes.Scope) else [node]
    return found


def _is_history_loop(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.For)
        and isinstance(node.iter, nodes.Name)
        and node.iter.name == HISTORY
    )


def _refuse_history(body: Sequence[nodes.Node], error: _Error) -> None:
    for node in body:
        for used in _names_in(node):
            if used.name == HISTORY:
                raise error(
                    f"{HISTORY} may only stand in one loop at the top level, "
                    f"{{% for message in {HISTORY} %}}",
                    used.lineno,
                )


def _refuse_changing(head: Sequence[nodes.Node], rest: Sequence[nodes.Node], error: _Error) -> None:
    """A namespace may not carry what was counted before the history into it or past it."""
    changing: set[str] = set()
    for node in head:
        if isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
            used = {name.name for name in _names_in(node.node)}
            if used & (changing | {"namespace"}):
                changing.add(node.target.name)
    for node in rest:
        for name in _names_in(node):
            if name.name in changing:
                raise error(
                    f"the namespace {name.name!r} is made before the loop over {HISTORY} and used "
                    "in it or after it: each of the three is rendered by itself",
                    name.lineno,
                )


def _message_nodes(
    kept: Sequence[nodes.Node], loop: nodes.For, error: _Error
) -> Sequence[nodes.Node]:
    """What renders one message: the loop's body, after the names and macros that it uses."""
    if not isinstance(loop.target, nodes.Name) or loop.test or loop.else_:
        raise error(
            f"the loop over {HISTORY} names one variable, with no condition and no else",
            loop.lineno,
        )
    used = {n.name for node in loop.body for n in _names_in(node)} - {loop.target.name}
    chosen: list[nodes.Node] = [*loop.body]
    for node in reversed(kept):
        if _names_set(node) & used:
            if loop.target.name in _names_set(node):
                raise error(
                    f"the message of the loop over {HISTORY} has the name of what a macro that it "
                    f"calls uses, {loop.target.name!r}: give it another",
                    loop.lineno,
                )
            used |= {n.name for n in _names_in(node)}
            chosen.insert(0, node)
    tree = nodes.Template(chosen)
    assert loop.environment is not None
    tree.set_environment(loop.environment)
    known = {loop.target.name, *FUNCTIONS}.union(*map(_names_set, chosen[: -len(loop.body)]))
    free = meta.find_undeclared_variables(tree) - known
    if free:
        raise error(
            f"the loop over {HISTORY} may use its message only, not {', '.join(sorted(free))}: "
            "what else it needs would make every message change with it",
            loop.lineno,
        )
    return chosen


def _sets_of(node: nodes.Node) -> list[nodes.Node]:
    """Of a statement at the top level, what gives names to what comes after it, and no text."""
    if not _names_set(node):
        return []
    return [_without_text(node)] if isinstance(node, nodes.If) else [node]


def _without_text(node: nodes.If) -> nodes.If:
    body, else_ = (
        [kept for one in branch for kept in _sets_of(one)] for branch in (node.body, node.else_)
    )
    elif_ = [_without_text(one) for one in node.elif_]  # also those that set nothing
    return nodes.If(node.test, body, elif_, else_, lineno=node.lineno)


def _names_set(node: nodes.Node) -> set[str]:
    """Names that a statement at the top level gives to what comes after it."""
    if isinstance(node, nodes.If):
        return {name for one in [*node.body, *node.elif_, *node.else_] for name in _names_set(one)}
    if isinstance(node, nodes.Macro):
        return {node.name}
    if isinstance(node, nodes.Assign | nodes.AssignBlock):
        return {node.target.name} if isinstance(node.target, nodes.Name | nodes.NSRef) else set()
    return set()


def _names_in(node: nodes.Node) -> list[nodes.Name | nodes.NSRef]:
    found = [node, *node.find_all(nodes.Name), *node.find_all(nodes.NSRef)]
    return [one for one in found if isinstance(one, nodes.Name | nodes.NSRef)]
