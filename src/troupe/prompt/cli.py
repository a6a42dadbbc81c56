"""`troupe prompt`: a template over data, as people want to see it. Reads files, prints; no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from troupe.prompt import loaders
from troupe.prompt.errors import PromptError
from troupe.prompt.formats import ChatTemplate, Names, OpenAIMessages, PlainText, Rendered
from troupe.prompt.formats.rendered import Format
from troupe.prompt.includes import Loader
from troupe.prompt.platform import NAMES, PACKAGE_FOLDER
from troupe.prompt.template import Template
from troupe.prompt.tokenizers import HuggingFaceTokenizer
from troupe.prompt.tools.inputs import Inputs, read_inputs
from troupe.prompt.tools.inspected import Inspected, inspect
from troupe.prompt.tools.words import WordTokenizer
from troupe.prompt.types import Tokenizer

FORMATS = ("parts", "text", "messages", "chat")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _takes(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The options that several commands have."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


DATA = click.option(
    "--data", "data_file", type=_FILE, required=True,
    help="JSON or YAML: a value for each name; `history` lists messages.",
)  # fmt: skip
MODEL = click.option(
    "--model", type=_FOLDER,
    help="Hugging Face folder whose tokenizer counts; words are counted if not given.",
)  # fmt: skip
LIMIT = click.option("--limit", default=4096, show_default=True, help="Tokens of the whole prompt.")
NAMES_OPTION = click.option(
    "--names", type=click.Choice([one.value for one in Names]), default="prefix",
    show_default=True, help="How messages say who speaks.",
)  # fmt: skip
TEMPLATE = click.argument("template")


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except (PromptError, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def prompt() -> None:
    """Templates of prompts: render them, count, find what is wrong, compare, look at them.

    TEMPLATE is a file, or the name of one of the platform's own templates.
    """


@prompt.command()
@_takes(TEMPLATE, DATA, MODEL, NAMES_OPTION)
@click.option("--format", "form", type=click.Choice(FORMATS), default="parts", show_default=True,
              help="How: parts under their names, text lines, OpenAI messages as JSON, or the "
              "model's own chat template.")  # fmt: skip
def render(template: str, data_file: Path, model: Path | None, form: str, names: str) -> None:
    """Print what TEMPLATE gives."""
    from troupe.prompt.tools.diff import readable

    with _clear_errors():
        loaded, inputs = _template(template), _inputs(data_file)
        if form == "parts":
            click.echo("\n".join(readable(loaded, inputs)))
            return
        made = _rendered(loaded, inputs, form, model, Names(names))
        if form == "messages":
            click.echo(json.dumps(made.messages, ensure_ascii=False, indent=2))
        else:
            click.echo(made.text)


@prompt.command()
@_takes(TEMPLATE, DATA, MODEL, LIMIT, NAMES_OPTION)
@click.option("--format", "form", type=click.Choice(FORMATS), default="parts", show_default=True,
              help="Count as this format; but for `parts`, nothing is cut.")  # fmt: skip
def tokens(
    template: str, data_file: Path, model: Path | None, limit: int, form: str, names: str
) -> None:
    """Count the tokens of TEMPLATE by part, with what the chat format puts around them."""
    with _clear_errors():
        loaded, inputs = _template(template), _inputs(data_file)
        if form == "parts":
            found = inspect(loaded, inputs, _tokenizer(model), limit)
            rows = dict(found.prompt.counts)
            total = found.prompt.tokens
            last = ("around them", total - sum(rows.values()))
        else:
            made = _rendered(loaded, inputs, form, model, Names(names))
            rows, total, last = dict(made.counts), made.tokens, ("around them", made.overhead)
    for name, count in [*rows.items(), last, ("in all", total)]:
        click.echo(f"{count:>8,}  {count / max(1, total):>6.1%}  {name}")
    if form == "parts":
        click.echo(f"{limit:>8,}          limit; {_cut(found)}")
    click.echo(f"counted by {_counter(model)}")


@prompt.command("lint")
@_takes(TEMPLATE, DATA)
@click.option("--volatile", multiple=True, metavar="KEY",
              help="Data that change from turn to turn (`scene.weather`); may stand several "
              "times.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
@click.pass_context
def lint_template(
    context: click.Context, template: str, data_file: Path, volatile: tuple[str, ...], as_json: bool
) -> None:
    """Find what is wrong with TEMPLATE, or makes its prompts cost more than they need.

    Ends with status 1 if there is anything.
    """
    from dataclasses import asdict

    from troupe.prompt.tools.lint import lint

    with _clear_errors():
        name, loader = _source(template)
        inputs = _inputs(data_file)
        findings = lint(name, loader, inputs.data, inputs.history, volatile)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in findings], ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(f"{len(findings)} findings" if findings else "nothing found", err=True)
    context.exit(1 if findings else 0)


@prompt.command()
@click.argument("template")
@click.argument("other")
@_takes(DATA, MODEL)
def diff(template: str, other: str, data_file: Path, model: Path | None) -> None:
    """Compare TEMPLATE and OTHER over the same data: as they read, and where their tokens part."""
    from troupe.prompt.tools import diff as compared

    with _clear_errors():
        one, two, inputs = _template(template), _template(other), _inputs(data_file)
        for line in compared.diff(one, two, inputs):
            click.echo(line)
        found = compared.parting(one, two, inputs, _tokenizer(model))
    if found.same:
        click.echo(f"the same {found.tokens:,} tokens")
        return
    share = found.common / max(1, found.tokens)
    click.echo(
        f"the first {found.common:,} tokens are the same, {share:.1%} of {found.tokens:,} "
        f"(the other has {found.other_tokens:,}); then, in part {found.part!r}:"
    )
    click.echo(f"- {found.mine!r}\n+ {found.other!r}")


@prompt.command()
@_takes(TEMPLATE, DATA, MODEL, LIMIT)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default="preview.html",
              show_default=True, help="The page to write.")  # fmt: skip
def preview(template: str, data_file: Path, model: Path | None, limit: int, out: Path) -> None:
    """Write an HTML page with the parts of TEMPLATE coloured by kind, their tokens and the cut."""
    from troupe.prompt.tools.preview import page

    with _clear_errors():
        loaded = _template(template)
        found = inspect(loaded, _inputs(data_file), _tokenizer(model), limit)
        out.write_text(page(loaded.name, found, _counter(model)), encoding="utf-8")
    click.echo(f"wrote {out}: {found.prompt.tokens:,} tokens; {_cut(found)}")


def _source(template: str) -> tuple[str, Loader]:
    """(Name, loader) of a file, whose includes lie beside it, or of a platform's template."""
    path = Path(template)
    if path.is_file():
        return path.name, loaders.folder(path.parent)
    if template in NAMES:
        return f"{template}.yaml", loaders.package("troupe.prompt", PACKAGE_FOLDER)
    known = ", ".join(NAMES)
    raise click.ClickException(f"{template}: there is no such file; by name there are {known}")


def _template(template: str) -> Template:
    return Template.load(*_source(template))


def _inputs(path: Path) -> Inputs:
    return read_inputs(path.read_text(encoding="utf-8"))


def _tokenizer(model: Path | None) -> Tokenizer:
    if model is None:
        return WordTokenizer()
    return HuggingFaceTokenizer((model / "tokenizer.json").read_bytes())


def _counter(model: Path | None) -> str:
    return f"the tokenizer of {model.name}" if model else "words and signs (--model counts exactly)"


def _cut(found: Inspected) -> str:
    gone = found.cut
    return f"{len(gone)} parts are cut" if gone else "nothing is cut"


def _rendered(
    template: Template, inputs: Inputs, form: str, model: Path | None, names: Names
) -> Rendered:
    parts = template.render(inputs.data, inputs.history)
    return _format(form, model, names).render(parts)


def _format(form: str, model: Path | None, names: Names) -> Format:
    if form == "text":
        return PlainText(_tokenizer(model))
    if form == "messages":
        return OpenAIMessages(_tokenizer(model), names)
    if model is None:
        raise click.UsageError("--format chat needs --model, whose chat template it is")
    source = model / "chat_template.jinja"
    return ChatTemplate.from_config(
        (model / "tokenizer_config.json").read_bytes(),
        (model / "tokenizer.json").read_bytes(),
        source.read_text(encoding="utf-8") if source.is_file() else None,
        names=names,
    )
