"""The reference pages say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from troupe.cli import troupe
from troupe.ops import docs
from troupe.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["configuration.md", "cli.md"])
def test_the_page_is_what_the_code_says(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == docs.pages(troupe)[name], "run: scripts/reference"


def test_every_metric_is_documented() -> None:
    written = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for line in docs.measures().splitlines():
        assert line in written, "run: scripts/reference"


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, f"{name} has no description"


def test_every_command_and_option_says_what_it_does() -> None:
    for path, command in docs.walk(troupe):
        assert command.help, path
        for option in command.params:
            if option.param_type_name == "option":
                assert getattr(option, "help", None), f"{path} {option.name}"
