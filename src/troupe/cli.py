"""The `troupe` command. Each subcommand imports what it needs when it runs, so that help is quick.

Reads the settings, calls `ops`, and prints; errors that are expected are one clear line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from troupe.settings import Settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def troupe() -> None:
    """An open, self-hosted platform for character chat.

    Settings are TROUPE_* variables of the environment; docs/configuration.md lists them.
    """


@troupe.command()
@click.option("--home", type=click.Path(path_type=Path), help="Folder of all state.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
def up(**given: Any) -> None:
    """Run everything on this machine: database, engine, worker and web. Ctrl-C stops it."""
    settings = _settings(given)
    from troupe.ops.console import Console
    from troupe.ops.up import up as run

    run(settings, Console())


@troupe.group()
def serve() -> None:
    """Run one process by itself. It stops at SIGTERM or Ctrl-C."""


_web_options = [
    click.option("--host", help="Address to listen on."),
    click.option("--port", type=int, help="Port to listen on."),
]


def _listens(command: Any) -> Any:
    for option in reversed(_web_options):
        command = option(command)
    return command


@serve.command()
@_listens
def web(**given: Any) -> None:
    """Core, chat, the OpenAI-compatible API and the web app in one process."""
    settings = _settings(given)
    from troupe.ops import serve as ops_serve

    ops_serve.web(settings)


@serve.command()
@_listens
def core(**given: Any) -> None:
    """Accounts, characters, personas and the admin alone."""
    settings = _settings(given)
    from troupe.ops import serve as ops_serve

    ops_serve.core(settings)


@serve.command()
@_listens
def chat(**given: Any) -> None:
    """The chat service and the OpenAI-compatible API alone."""
    settings = _settings(given)
    from troupe.ops import serve as ops_serve

    ops_serve.chat(settings)


@serve.command()
@click.option(
    "--model", "model_dir", type=click.Path(path_type=Path), help="Hugging Face folder to serve."
)
@click.option("--port", "engine_port", type=int, help="Loopback port to listen on.")
@click.option("--threads", "engine_threads", type=int, help="Computing threads; 0 for all cores.")
@click.option("--kv-mb", "engine_kv_mb", type=int, help="Memory for keys and values, in MB.")
@click.option("--max-sequences", "engine_max_sequences", type=int, help="Answers at a time.")
def engine(**given: Any) -> None:
    """The inference engine: token ids in, token ids out, on loopback."""
    settings = _settings(given)
    from troupe.ops import serve as ops_serve

    ops_serve.engine(settings)


@serve.command()
@click.option("--port", "worker_port", type=int, help="Loopback port of the health page.")
def worker(**given: Any) -> None:
    """Periodic jobs."""
    settings = _settings(given)
    from troupe.ops import serve as ops_serve

    ops_serve.worker(settings)


@troupe.command()
@click.option("--bootstrap", is_flag=True, help="Also make the administrator and the characters.")
def migrate(bootstrap: bool) -> None:
    """Bring the database's tables up to date."""
    settings = _settings({})
    from troupe.ops import database
    from troupe.ops import migrate as migrations

    with database.at_hand(settings) as complete:
        applied = migrations.migrate(complete)
        click.echo(f"applied {', '.join(applied)}" if applied else "nothing to apply")
        if bootstrap:
            migrations.bootstrap(complete)


@troupe.command()
def doctor() -> None:
    """Check this machine and say what to mend.

    Ends with status 1 if something keeps Troupe from running.
    """
    settings = _settings({})
    from troupe.ops.doctor import examine

    failed = False
    marks = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
    for finding in examine(settings):
        failed |= finding.level == "fail"
        remedy = f". {finding.remedy}." if finding.remedy else ""
        click.echo(f"{marks[finding.level]}  {finding.name:<10}  {finding.said}{remedy}")
    raise SystemExit(1 if failed else 0)


@troupe.group()
def models() -> None:
    """Models that the engine can serve."""


@models.command("list")
def list_models() -> None:
    """The models on this machine; the one that is served is marked."""
    settings = _settings({})
    from troupe.ops.models import known

    chosen = settings.model_dir.expanduser().resolve()
    for model in known(settings):
        mark = "*" if model.folder.resolve() == chosen else " "
        click.echo(f"{mark} {model.name:<20} {model.said}")


@models.command("check")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def check_model(folder: Path | None) -> None:
    """Whether the engine can serve FOLDER (TROUPE_MODEL_DIR if not given)."""
    from troupe.ops.errors import OpsError
    from troupe.ops.models import look_at

    model = look_at(folder or _settings({}).model_dir)
    if not model.fit:
        raise OpsError(model.said, model.remedy)
    click.echo(f"{model.said} can be served")


@troupe.command("admin-password")
@click.option("--generate", is_flag=True, help="Make one up, print it, and keep it in the home.")
def admin_password(generate: bool) -> None:
    """Give the user `admin` a new password, asked for or read from standard input."""
    settings = _settings({})
    from troupe.ops import admin

    if generate:
        click.echo(admin.generate_password(settings))
        return
    if sys.stdin.isatty():
        password = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    admin.set_password(settings, password)
    click.echo("The password of `admin` is changed.")


@troupe.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def train(context: click.Context) -> None:
    """Corpora, tokenizers, training, evaluation and export of models."""
    from troupe.train.cli import train as command

    command.main(args=context.args, prog_name="troupe train")


@troupe.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def prompt(context: click.Context) -> None:
    """Templates of prompts: render them, count, find what is wrong, compare, look at them."""
    from troupe.prompt.cli import prompt as command

    command.main(args=context.args, prog_name="troupe prompt")


@troupe.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    click.echo(installed("troupe"))


def _settings(given: dict[str, Any]) -> Settings:
    """The settings, with what the command line gives in their place."""
    from troupe.settings import Settings

    return Settings(**{name: value for name, value in given.items() if value is not None})


def main() -> None:
    """Run the command; expected errors become one line on standard error."""
    try:
        troupe(prog_name="troupe")
    except Exception as error:
        said = _expected(error)
        if said is None:
            raise
        click.echo(f"error: {said}", err=True)
        sys.exit(1)


def _expected(error: Exception) -> str | None:
    """One line for an error that is no defect of ours; None for any other."""
    from pydantic import ValidationError

    from troupe.ops.errors import OpsError

    if isinstance(error, OpsError):
        return str(error)
    if isinstance(error, ValidationError):
        return "; ".join(
            f"TROUPE_{str(part['loc'][0]).upper()}: {part['msg']} (got {part['input']!r})"
            for part in error.errors()
        )
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("troupe"):
        return (
            f"the package {error.name} is not installed. Install it with `pip install troupe[all]`"
        )
    for module, name in (
        ("troupe.engine.errors", "EngineError"),
        ("troupe.chat.store.errors", "StoreError"),
        ("django.core.exceptions", "ValidationError"),
        ("psycopg", "Error"),
    ):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return " ".join(str(error).split())
    return None


if __name__ == "__main__":
    main()
