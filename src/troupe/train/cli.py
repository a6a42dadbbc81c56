"""`troupe train`: the commands of the training stack. Reads files, prints, writes; no more."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from troupe.engine.errors import EngineError
from troupe.train.errors import TrainError
from troupe.train.finetune.cli import COMMANDS as FINETUNING

if TYPE_CHECKING:
    from troupe.train.corpus.preferences import Schema

CONFIG = click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except (TrainError, EngineError) as error:
        raise click.ClickException(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def train() -> None:
    """Corpora, tokenizers, training, evaluation and export of models."""


@train.command()
@CONFIG
@click.option("--resume", "resumes", is_flag=True, help="Continue from the run's checkpoint.")
@click.option("--until", type=int, help="Stop after this step; --resume goes on from there.")
def pretrain(config: Path, resumes: bool, until: int | None) -> None:
    """Train a model from nothing, as CONFIG (a TOML file) says."""
    from troupe.train import pretrain as loop
    from troupe.train.config import load_config
    from troupe.train.runs import progress_bar

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with _clear_errors():
        settings = load_config(config)
        state = loop.resume(settings) if resumes else loop.start(settings)
    with progress_bar(settings.steps, state.step, settings.log_every) as show:

        def report(progress: loop.Progress) -> None:
            loop.write_log(settings.run, progress)
            note = (
                f"loss {progress.loss:.3f}  {progress.tokens / 1e6:.2f}M tokens  "
                f"{progress.tokens_per_second:.0f}/s  {progress.seconds_left / 60:.0f} min left"
            )
            show(progress.step, note)

        loop.run(state, report, until)


for command in FINETUNING:
    train.add_command(command)


@train.command()
@CONFIG
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(config: Path, folder: Path) -> None:
    """Write the run's checkpoint to FOLDER in Hugging Face's format, bfloat16."""
    from troupe.train.config import load_config
    from troupe.train.export import export as write

    with _clear_errors():
        write(load_config(config), folder)
    click.echo(f"wrote {folder}")


@train.command("eval")
@click.argument("model", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", default=200, show_default=True, help="Questions of each sort.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path),
              help="Also write the figures there.")  # fmt: skip
@click.option("--facts", default=11, show_default=True, help="Facts on a card, at most.")
@click.option("--characters", default=2600, show_default=True, help="Length of a conversation.")
@click.option("--threads", default=1, show_default=True, help="Threads to compute with.")
@click.option("--show", default=0, help="Print this many questions with their answers.")
def evaluate(
    model: Path, count: int, target: Path | None, facts: int, characters: int, threads: int,
    show: int,
) -> None:  # fmt: skip
    """Score MODEL (a Hugging Face folder) on held-out personas, values and phrasings."""
    import asyncio

    from troupe.train import evaluate as scoring
    from troupe.train.corpus import Size

    asked = scoring.cases(count, Size(facts, characters))
    with _clear_errors():
        given = asyncio.run(scoring.answers(model, asked, threads))
    for case, answer in list(zip(asked, given, strict=True))[:show]:
        question = case.dialogue.messages[case.upto - 1].text if case.upto else ""
        click.echo(f"[{case.kind}] {question}\n  {case.name}: {answer.text}\n  want {case.expect}")
    rows = scoring.figures(asked, given)
    table = Table("figure", "value", "of")
    for row in rows:
        table.add_row(row.name, f"{row.value:.1%}", str(row.count))
    Console().print(table)
    if target is not None:
        data = {
            "figures": {row.name: row.value for row in rows},
            "counts": {row.name: row.count for row in rows},
            "model": model.name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        target.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


@train.command()
@CONFIG
@click.option("--count", default=3, show_default=True, help="Lines to print.")
@click.option("--held-out", is_flag=True, help="From the half that training never sees.")
@click.option("--stage", default=-1, show_default=True, help="Which stage's size.")
@click.option("--schema", type=click.Choice(["sft", "dpo", "kto"]), default="sft",
              show_default=True, help="Whole conversations, pairs or thumbs.")  # fmt: skip
def corpus(config: Path, count: int, held_out: bool, stage: int, schema: Schema) -> None:
    """Print lines of the corpus, as JSON in TRL's conversational schemas."""
    from troupe.train.config import load_config
    from troupe.train.corpus import Size, Split
    from troupe.train.corpus.preferences import lines

    with _clear_errors():
        settings = load_config(config)
        chosen = settings.stage[stage]
    split = Split.HELD_OUT if held_out else Split.TRAIN
    size = Size(chosen.most_facts, chosen.characters)
    for line in islice(lines(schema, settings.corpus.seed, split, size), count):
        click.echo(json.dumps(line, ensure_ascii=False))
