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


_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


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
    "--model",
    "model_dir",
    type=click.Path(path_type=Path),
    help="Model to serve: a name that `troupe models list` shows, or a Hugging Face folder.",
)
@click.option("--port", "engine_port", type=int, help="Loopback port to listen on.")
@click.option("--threads", "engine_threads", type=int, help="Computing threads; 0 for all cores.")
@click.option("--kv-mb", "engine_kv_mb", type=int, help="Memory for keys and values, in MB.")
@click.option("--host-kv-mb", "engine_host_kv_mb", type=int, help="More of it behind, in MB.")
@click.option("--disk-kv-mb", "engine_disk_kv_mb", type=int, help="Disk space for them, in MB.")
@click.option(
    "--kv-dir", "engine_kv_dir", type=click.Path(path_type=Path), help="Folder on that disk."
)
@click.option("--max-sequences", "engine_max_sequences", type=int, help="Answers at a time.")
@click.option("--ray", is_flag=True, help="Serve in replicas of Ray Serve.")
@click.option("--replicas", "engine_replicas", type=int, help="How many of them, with --ray.")
def engine(ray: bool, **given: Any) -> None:
    """The inference engine: token ids in, token ids out."""
    settings = _settings(given)
    from troupe.ops import serve as ops_serve

    ops_serve.engine(settings, ray)


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
    for finding in examine(settings):
        failed |= finding.level == "fail"
        remedy = f". {finding.remedy}." if finding.remedy else ""
        click.echo(f"{_MARKS[finding.level]}  {finding.name:<10}  {finding.said}{remedy}")
    raise SystemExit(1 if failed else 0)


@troupe.group()
def engines() -> None:
    """Replicas of the engine, as the web processes know them."""


@engines.command("list")
def list_engines() -> None:
    """Every replica, its weight, and how it is."""
    from troupe.ops.engines import seen

    for each in seen(_settings({})):
        click.echo(f"{each.member.url:<32} {each.member.weight:<6g} {each.said}")


@engines.command()
@click.argument("url")
@click.option("--undo", is_flag=True, help="Give it new answers again.")
def drain(url: str, undo: bool) -> None:
    """Give the replica at URL no new answers; those it makes are finished. Needs Redis."""
    from troupe.ops.engines import drain as tell

    tell(_settings({}), url, not undo)


@troupe.group()
def models() -> None:
    """Models that the engine can serve."""


@models.command("list")
def list_models() -> None:
    """The models on this machine, and whether the engine can serve them.

    The one that TROUPE_MODEL_DIR sets is marked.
    """
    settings = _settings({})
    from troupe.ops.model_check import count
    from troupe.ops.models import known

    chosen = settings.model_folder.resolve()
    click.echo(f"  {'NAME':<28} {'FAMILY':<8} {'SIZE':>6} {'CONTEXT':>8} {'ON DISK':>9}  BACKEND")
    for model in known(settings):
        mark, shape = "*" if model.folder.resolve() == chosen else " ", model.shape
        if shape is None:
            click.echo(f"{mark} {model.name:<28} cannot be served: {model.said}")
            continue
        click.echo(
            f"{mark} {model.name:<28} {shape.family:<8} {count(shape.parameters):>6} "
            f"{shape.context:>8} {shape.bytes / 2**20:>6.0f} MB  {shape.backend}"
        )


@models.command("pull")
@click.argument("source", metavar="REPO[@REVISION]")
@click.option("--name", help="Name on this machine; the repository's if not given.")
def pull_model(source: str, name: str | None) -> None:
    """Download a model from the Hugging Face Hub.

    Only the files that the engine reads. Run it again to go on with a download that broke off.
    HF_ENDPOINT gives another Hub, HF_TOKEN lets you at private and gated models.
    """
    settings = _settings({})
    from troupe.ops.console import downloading
    from troupe.ops.hub import Hub, pull

    with downloading() as progress:
        model = pull(settings, Hub.of_environment(), source, name, progress)
    click.echo(f"{model.said}. Serve it with TROUPE_MODEL_DIR={model.name}")


@models.command("add")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@click.option("--copy", is_flag=True, help="Copy the folder; without, only a link to it is made.")
def add_model(folder: Path, name: str | None, copy: bool) -> None:
    """Give the Hugging Face folder FOLDER a name (its own if NAME is not given)."""
    settings = _settings({})
    from troupe.ops.models import add

    model = add(settings, folder, name, copy)
    click.echo(f"{model.said}. Serve it with TROUPE_MODEL_DIR={model.name}")


@models.command("remove")
@click.argument("name")
def remove_model(name: str) -> None:
    """Forget a model that was added or downloaded. What was downloaded or copied is deleted."""
    settings = _settings({})
    from troupe.ops.models import remove

    click.echo(f"{remove(settings, name)} is removed")


@models.command("check")
@click.argument("model", required=False)
def check_model(model: str | None) -> None:
    """Load MODEL, compare it with the reference, and let it say something.

    MODEL is a name or a folder; TROUPE_MODEL_DIR if not given. Ends with status 1 if something is
    wrong with it.
    """
    settings = _settings({})
    from troupe.ops.model_check import check
    from troupe.ops.models import find

    failed = False
    for finding in check(settings, find(settings, model)):
        failed |= finding.level == "fail"
        click.echo(f"{_MARKS[finding.level]}  {finding.name:<10}  {finding.said}")
    raise SystemExit(1 if failed else 0)


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
