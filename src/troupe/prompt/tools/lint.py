"""What is wrong with a template, or will cost: findings with their lines. Pure.

Called by `troupe prompt lint`. The cost of what changes before the history is not guessed: a chat
is simulated with it standing still and with it changing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from troupe.prompt.errors import PromptError, PromptTooLong, TemplateError
from troupe.prompt.includes import Loader, Sources
from troupe.prompt.run import Limits
from troupe.prompt.sandbox import environment
from troupe.prompt.stretches import Stretches, split
from troupe.prompt.template import Template
from troupe.prompt.tools.branches import dead_branches
from troupe.prompt.tools.keys import unknown_keys
from troupe.prompt.tools.simulate import chat, reuse
from troupe.prompt.tools.uses import ITEM, Path, Use, missing, uses
from troupe.prompt.tools.varying import seems_volatile, turning, value_at
from troupe.prompt.types import ChatMessage, Part

RULES = {
    "error": "The template or its data cannot be used: a syntax error, a value of a wrong kind.",
    "unknown-key": "No part or section has a key of this name.",
    "missing-data": "The template uses what the data lack, and has no `is defined` and no "
    "`default` for it.",
    "dead-branch": "A branch that is never taken, whatever the data are.",
    "volatile-before-history": "A value before the history changes from turn to turn, so that all "
    "that stands behind it is computed anew.",
    "never-cut": "The messages of the history have no `truncation_priority`: a long chat "
    "does not fit.",
    "rotating-block": "Which items of a list stand before the history changes from turn to turn.",
}

MIN_COST = 0.02  # of each prompt; less is lost in what cuts cost anyway


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend. `cost`: the share of each prompt that it makes the engine compute anew."""

    rule: str
    template: str
    line: int  # from 1; 0 where it is not known
    message: str
    cost: float | None = None

    def __str__(self) -> str:
        where = self.template + (f":{self.line}" if self.line else "")
        return f"{where}: {self.rule}: {self.message}"


def lint(
    name: str,
    loader: Loader,
    data: Mapping[str, Any],
    history: Sequence[ChatMessage] = (),
    volatile: Iterable[str] = (),
) -> list[Finding]:
    """All findings for the template of that name, in the order of its lines. `volatile` names
    values that change from turn to turn, beside those that seem to (`scene.weather`)."""
    sources = Sources(environment(), name, Limits(), loader)
    try:
        template = Template.load(name, loader)
        tree = sources.tree(loader(name) or "")
        found = split(tree, sources.error)
    except TemplateError as error:
        return [_of_error(error)]
    linter = _Linter(sources, template, found, data, tuple(history))
    findings = [*linter.unknown(), *linter.missing(), *linter.dead()]
    if all(one.rule == "dead-branch" for one in findings):
        try:
            template.render(data, history or list(islice(chat([]), 2)))
        except TemplateError as error:
            findings.append(_of_error(error))
        except PromptError as error:
            findings.append(Finding("error", name, 0, str(error)))
        else:
            findings += linter.volatile({tuple(one.split(".")) for one in volatile})
    return sorted(findings, key=lambda one: (one.template, one.line, one.rule))


@dataclass(frozen=True, slots=True)
class _Linter:
    sources: Sources
    template: Template
    stretches: Stretches
    data: Mapping[str, Any]
    history: tuple[ChatMessage, ...]

    def unknown(self) -> list[Finding]:
        """Keys that nothing has, in all files."""
        return [
            Finding("unknown-key", name, one.line, one.message)
            for name, text in self.sources.texts.items()
            for one in unknown_keys(text)
        ]

    def missing(self) -> list[Finding]:
        """What the data lack, once for each line."""
        found = [*uses(self.stretches.head), *uses(self.stretches.tail)]
        guarded = {use.path for use in found if use.guarded}
        findings: dict[tuple[int, Path], Finding] = {}
        for use in found:
            lacking = missing(use.path, self.data)
            guards = (use.path[:n] for n in range(1, len(use.path) + 1))
            if lacking and not any(guard in guarded for guard in guards):
                said = f"the data have no {_said(lacking)!r}"
                findings[use.line, lacking] = self._finding("missing-data", use.line, said)
        return list(findings.values())

    def dead(self) -> list[Finding]:
        """Branches that are never taken."""
        bodies = [self.stretches.head, self.stretches.message or [], self.stretches.tail]
        found = {one.line: one for body in bodies for one in dead_branches(body)}
        return [self._finding("dead-branch", one.line, one.why) for one in found.values()]

    def volatile(self, named: set[Path]) -> list[Finding]:
        """What changes before the history, with what it costs; needs a chat that can be cut."""
        if self.stretches.message is None:
            return []
        findings = []
        try:
            still = reuse(self.template, lambda _turn: self.data, self.history)
        except PromptTooLong:
            said = "the messages have no truncation_priority: a long chat will not fit"
            return [self._finding("never-cut", self.stretches.message[-1].lineno, said)]
        for use in self._suspects(named):
            turns = turning(self.data, use.path, self._head)
            if turns is None:
                continue
            cost = max(0.0, still - reuse(self.template, turns, self.history))
            if cost < MIN_COST:
                continue
            rule = "rotating-block" if use.index else "volatile-before-history"
            what = "chooses other items of a list" if use.index else "changes"
            said = (
                f"{_said(use.path)!r} {what} before the history: where it does so in each turn, "
                f"{cost:.0%} of each prompt is computed anew. Put it after the history, or let it "
                "wait for the next cut (`Truncation.waits`)"
            )
            findings.append(self._finding(rule, use.line, said, cost))
        return findings

    def _suspects(self, named: set[Path]) -> list[Use]:
        """The first use of each value that seems to change, or is named as one that does."""
        first: dict[Path, Use] = {}
        for use in uses(self.stretches.head):
            start = use.path[: use.path.index(ITEM)] if ITEM in use.path else use.path
            known = any(start[: len(path)] == path for path in named)
            seems = seems_volatile(use.path, value_at(self.data, use.path))
            if known or use.index or seems:
                first.setdefault(start, use)
        return list(first.values())

    def _head(self, data: Mapping[str, Any]) -> tuple[Part, ...] | None:
        """What stands before the history, or None where such data cannot be used."""
        try:
            self.template.tail(data)
            return self.template.head(data)
        except PromptError:
            return None

    def _finding(self, rule: str, line: int, said: str, cost: float | None = None) -> Finding:
        name, own, part = self.sources.where(line)
        return Finding(rule, name, own, said + (f" (part {part!r})" if part else ""), cost)


def _of_error(error: TemplateError) -> Finding:
    part = f"part {error.part!r}: " if error.part else ""
    return Finding("error", error.template, error.line, part + error.why)


def _said(path: Path) -> str:
    return ".".join(path).replace(f".{ITEM}", "[]")
