"""Branches of a template that no data can reach. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jinja2 import nodes

_UNFOLDED = (nodes.Filter, nodes.Test, nodes.Call, nodes.Name)


@dataclass(frozen=True, slots=True)
class Dead:
    """A branch that is never taken, by the line of the statement that begins it or of its text."""

    line: int
    why: str


def dead_branches(body: Sequence[nodes.Node]) -> list[Dead]:
    """All of them, outermost only."""
    changing = {name for node in body for name in _set_within(node)}
    return list(_Search(frozenset(changing)).body(body, frozenset(), frozenset()))


class _Search:
    """A descent that remembers which conditions hold and which do not."""

    def __init__(self, changing: frozenset[str]) -> None:
        self._changing = changing

    def body(
        self, body: Iterable[nodes.Node], true: frozenset[str], false: frozenset[str]
    ) -> Iterator[Dead]:
        for node in body:
            if isinstance(node, nodes.If):
                yield from self._if(node, true, false)
            elif isinstance(node, nodes.For):
                yield from self._for(node, true, false)
            elif isinstance(node, nodes.Macro):
                yield from self.body(node.body, frozenset(), frozenset())
            else:
                yield from self.body(node.iter_child_nodes(), true, false)

    def _for(self, node: nodes.For, true: frozenset[str], false: frozenset[str]) -> Iterator[Dead]:
        if isinstance(node.iter, nodes.List | nodes.Tuple) and not node.iter.items:
            yield Dead(node.lineno, "the loop is over an empty list")
            return
        # Its variable is another in each turn, and hides what had its name.
        names = {one.name for one in [node.target, *node.target.find_all(nodes.Name)]
                 if isinstance(one, nodes.Name)}  # fmt: skip
        kept = _Search(self._changing | names)
        yield from kept.body(node.body, kept._sure(true), kept._sure(false))
        yield from self.body(node.else_, true, false)

    def _sure(self, facts: frozenset[str]) -> frozenset[str]:
        return frozenset(f for f in facts if not any(f"name={n!r}" in f for n in self._changing))

    def _if(self, node: nodes.If, true: frozenset[str], false: frozenset[str]) -> Iterator[Dead]:
        branches = [node, *node.elif_]
        for number, branch in enumerate(branches):
            holds = self._known(branch.test, true, false)
            if holds is False:
                yield Dead(branch.lineno, "its condition never holds here")
            else:
                yield from self.body(
                    branch.body,
                    true | self._sure(frozenset(_facts(branch.test)[0])),
                    false | self._sure(frozenset(_denied(branch.test))),
                )
            if holds is True:
                rest = [*branches[number + 1 :], *node.else_]
                if rest:
                    yield Dead(rest[0].lineno, "the condition before it always holds here")
                return
            false = false | self._sure(frozenset(_facts(branch.test)[1]))
            true = true | self._sure(frozenset(_asserted_by_failure(branch.test)))
        yield from self.body(node.else_, true, false)

    def _known(self, test: nodes.Node, true: frozenset[str], false: frozenset[str]) -> bool | None:
        key = repr(test)
        if isinstance(test, nodes.Not):
            inner = self._known(test.node, true, false)
            return None if inner is None else not inner
        if isinstance(test, nodes.And):
            sides = [self._known(side, true, false) for side in (test.left, test.right)]
            return False if False in sides else (True if sides == [True, True] else None)
        if isinstance(test, nodes.Or):
            sides = [self._known(side, true, false) for side in (test.left, test.right)]
            return True if True in sides else (False if sides == [False, False] else None)
        if key in true:
            return True
        if key in false:
            return False
        if not isinstance(test, nodes.Expr) or isinstance(test, _UNFOLDED):
            return None
        if any(True for _ in test.find_all(_UNFOLDED)):
            return None
        try:
            return bool(test.as_const())
        except (nodes.Impossible, TypeError, ValueError, ArithmeticError, LookupError):
            return None


def _facts(test: nodes.Node) -> tuple[list[str], list[str]]:
    """Conditions that hold where the test does, and that do not where it does not."""
    if isinstance(test, nodes.And):
        return [*_facts(test.left)[0], *_facts(test.right)[0], repr(test)], [repr(test)]
    if isinstance(test, nodes.Or):
        return [repr(test)], [*_facts(test.left)[1], *_facts(test.right)[1], repr(test)]
    return [repr(test)], [repr(test)]


def _denied(test: nodes.Node) -> list[str]:
    """Conditions that do not hold where the test does."""
    if isinstance(test, nodes.And):
        return [*_denied(test.left), *_denied(test.right)]
    return _facts(test.node)[1] if isinstance(test, nodes.Not) else []


def _asserted_by_failure(test: nodes.Node) -> list[str]:
    """Conditions that hold where the test does not."""
    if isinstance(test, nodes.Or):
        return [*_asserted_by_failure(test.left), *_asserted_by_failure(test.right)]
    return _facts(test.node)[0] if isinstance(test, nodes.Not) else []


def _set_within(node: nodes.Node) -> Iterator[str]:
    """Names that are given a value somewhere within, so that a condition on them may change."""
    for inner in [node, *node.find_all(nodes.Node)]:
        if isinstance(inner, nodes.Assign | nodes.AssignBlock):
            target = inner.target
            if isinstance(target, nodes.Name | nodes.NSRef):
                yield target.name
