"""`troupe train sft|dpo|kto CONFIG`: reads the configuration, shows progress, writes the model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from troupe.engine.errors import EngineError
from troupe.train.errors import TrainError

if TYPE_CHECKING:  # torch is loaded when a command runs, not to show its help
    from troupe.train.finetune.config import FinetuneConfig, Method
    from troupe.train.finetune.loop import State
    from troupe.train.parallel.ranks import Ranks

_HELP: dict[Method, str] = {
    "sft": "Fine-tune a model on conversations: CONFIG (a TOML file) names model and data.",
    "dpo": "Fine-tune a model on pairs of a better and a worse answer (DPO, or IPO).",
    "kto": "Fine-tune a model on answers that were liked or not (KTO).",
}


def _command(kind: Method) -> click.Command:
    @click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.option("--resume", "resumes", is_flag=True, help="Continue from the run's checkpoint.")
    @click.option("--until", type=int, help="Stop after this step; --resume goes on from there.")
    @click.option("--dry-run", is_flag=True, help="Read everything, print the plan, train nothing.")
    def run(config: Path, resumes: bool, until: int | None, dry_run: bool) -> None:
        from troupe.train.finetune.config import load_finetune_config

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        try:
            settings = load_finetune_config(config)
            if dry_run:
                _describe(settings, kind)
            else:
                _train(settings, kind, resumes, until)
        except (TrainError, EngineError) as error:
            raise click.ClickException(str(error)) from error

    return click.command(kind, help=_HELP[kind])(run)


COMMANDS = [_command("sft"), _command("dpo"), _command("kto")]


def _train(settings: FinetuneConfig, kind: Method, resumes: bool, until: int | None) -> None:
    from troupe.train.parallel.ranks import processes

    with processes() as ranks:
        _run(settings, kind, resumes, until, ranks)


def _run(
    settings: FinetuneConfig, kind: Method, resumes: bool, until: int | None, ranks: Ranks
) -> None:
    from troupe.train.finetune import loop
    from troupe.train.finetune.export import export_run
    from troupe.train.runs import progress_bar

    begin = loop.resume if resumes else loop.start
    state = begin(settings, kind, ranks)
    with progress_bar(len(state.plan), state.step, settings.log_every, shown=ranks.first) as show:

        def report(progress: loop.Progress) -> None:
            if not ranks.first:
                return
            loop.write_log(settings, progress)
            figures = "".join(f"{n} {v:.3f}  " for n, v in progress.figures.items())
            note = (
                f"loss {progress.loss:.4f}  {figures}{progress.tokens_per_second:.0f} tokens/s  "
                f"{progress.seconds_left / 60:.0f} min left"
            )
            show(progress.step, note)

        loop.run(state, report, until)
    if state.step == len(state.plan):
        folder = export_run(state)
        _score(state)
        if ranks.first:
            click.echo(f"wrote {folder}")


def _score(state: State) -> None:
    """Before and after on what was held out."""
    from troupe.train.finetune.score import score

    for name, before, after in score(state):
        if state.ranks.first:
            click.echo(f"held out: {name} {before:.4f} before, {after:.4f} after")


def _describe(settings: FinetuneConfig, kind: Method) -> None:
    from troupe.train.finetune.describe import describe

    table = Table("", "", show_header=False)
    for name, value in describe(settings, kind):
        table.add_row(name, value)
    Console().print(table)
