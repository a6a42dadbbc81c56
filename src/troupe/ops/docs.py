"""The reference pages that follow from the code: settings, commands, metrics.

`scripts/reference` writes them; a test fails while a page differs from what it would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from troupe.settings import MODELS, Settings
from troupe.telemetry import metrics

_GENERATED = "<!-- Written by `scripts/reference`; edit the code in its place. -->\n"
_METRIC_MODULES = (
    "troupe.core.metrics",
    "troupe.chat.metrics",
    "troupe.gateway.metrics",
    "troupe.ops.worker",
)


def pages(program: click.Group) -> dict[str, str]:
    """The pages by file name; `program` is the `troupe` command."""
    return {
        "configuration.md": configuration(),
        "cli.md": commands(program),
        "metrics.md": measures(),
    }


def configuration() -> str:
    """Every setting: its variable, default and meaning."""
    lines = [
        "# Configuration\n",
        _GENERATED,
        "Settings are variables of the environment. One that is set but empty counts as not set. "
        "Every process reads the same ones; `troupe up` gives each process it starts only the "
        "secrets that it needs.\n",
    ]
    for name, field in Settings.model_fields.items():
        lines.append(f"## `TROUPE_{name.upper()}`\n")
        lines.append(f"{field.description}\n")
        limits = [str(limit) for limit in map(_limit, field.metadata) if limit]
        about = [f"Default: {_default(field.default)}", *limits]
        lines.append(". ".join(about) + ".\n")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "not set"
    if isinstance(value, Path) and value.is_relative_to(MODELS):
        return f"the model that comes with Troupe (`{value.relative_to(MODELS)}`)"
    if isinstance(value, SecretStr):
        return "a secret"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _limit(constraint: Any) -> str | None:
    for attribute, text in (("ge", "At least"), ("le", "At most")):
        bound = getattr(constraint, attribute, None)
        if bound is not None:
            return f"{text} {bound}"
    return None


def commands(program: click.Group) -> str:
    """Every command of `troupe`, with its arguments and options."""
    lines = ["# Commands\n", _GENERATED, f"{_unwrapped(program.help or '')}\n"]
    for path, command in walk(program):
        lines.append(f"## `{path}`\n")
        lines.append(f"{_unwrapped(command.help or '')}\n")
        shown = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        for argument in command.params:
            if isinstance(argument, click.Argument):
                lines.append(f"- `{argument.human_readable_name}`: see above")
        for option in shown:
            names = ", ".join(f"`{name}`" for name in option.opts)
            lines.append(f"- {names}: {option.help}")
        if command.params:
            lines.append("")
    return "\n".join(lines)


def walk(program: click.Group) -> list[tuple[str, click.Command]]:
    """Every command that does something, by its whole name."""
    from troupe.prompt.cli import prompt
    from troupe.train.cli import train

    found = [
        *_walk("troupe", program),
        *_walk("troupe train", train),
        *_walk("troupe prompt", prompt),
    ]
    return sorted(found, key=lambda one: one[0])


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            yield from _walk(f"{path} {name}", inner)
    else:
        yield path, command


def _unwrapped(text: str) -> str:
    """Paragraphs, each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def measures() -> str:
    """Every metric, by the process that has it."""
    from troupe.engine.metrics import Metrics

    for module in _METRIC_MODULES:
        if find_spec(module) is not None:
            import_module(module)
    lines = [
        "# Metrics\n",
        _GENERATED,
        "Every process answers `/metrics` in Prometheus's text format: `web` on the site's port, "
        "`engine` on `TROUPE_ENGINE_PORT`, `worker` on `TROUPE_WORKER_PORT`. Beside those below "
        "each has the usual ones of a process: memory, processor time, open files.\n",
        "| metric | kind | meaning |",
        "|---|---|---|",
    ]
    found = [*metrics.described(), *metrics.described(Metrics().registry)]
    for metric in sorted(found, key=lambda one: one.name):
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.help} |")
    return "\n".join(lines) + "\n"
