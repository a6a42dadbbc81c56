"""docs/engine.md says what is there, and its example runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from starlette.routing import Route

from tests.engine.serving import serving_in_thread
from troupe.engine.metrics import Metrics
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.types import EngineOptions

DOCS = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")


def test_every_metric_is_documented_and_no_other() -> None:
    exposed = set()
    for family in Metrics().registry.collect():
        exposed.add(family.name + ("_total" if family.type == "counter" else ""))
    assert set(re.findall(r"^\| `(troupe_engine_\w+)`", DOCS, re.MULTILINE)) == exposed


def test_every_endpoint_is_documented_and_no_other(checkpoint: Path) -> None:
    app = create_app(EngineServerOptions(checkpoint))
    routes = {route.path for route in app.routes if isinstance(route, Route)}
    assert set(re.findall(r"^\| `(?:GET|POST) ([^`]+)`", DOCS, re.MULTILINE)) == routes


def test_every_option_is_documented() -> None:
    for kind in (EngineOptions, EngineServerOptions):
        for option in fields(kind):
            assert f"`{option.name}`" in DOCS, option.name


def test_every_file_is_described() -> None:
    import troupe.engine

    for path in Path(troupe.engine.__file__).parent.glob("*.py"):
        if path.stem not in ("__init__", "errors", "types", "metrics"):
            assert f"`{path.name}`" in DOCS, path.name


def test_the_shell_examples_run(checkpoint: Path) -> None:
    with serving_in_thread(EngineServerOptions(checkpoint)) as (base, _):
        for block in re.findall(r"```sh\n(curl.*?)```", DOCS, re.DOTALL):
            subprocess.run(
                ["bash", "-e", "-c", block],
                env={**os.environ, "ENGINE": base},
                capture_output=True,
                check=True,
            )


def test_the_example_runs(checkpoint: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)[0]
    environment = {**os.environ, "MODEL_DIR": str(checkpoint)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "completion_tokens=" in done.stdout
