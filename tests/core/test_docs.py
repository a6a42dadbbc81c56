"""The documentation names every endpoint, error code, limit and audited action."""

from __future__ import annotations

import json
import re
from pathlib import Path

from troupe.core import errors, limits, metrics, openapi
from troupe.settings import Settings

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
ADMIN = (ROOT / "docs/admin.md").read_text(encoding="utf-8")


def test_every_endpoint_is_documented_and_no_other(core_settings: Settings) -> None:
    paths = json.loads(openapi.text())["paths"]
    real = {f"{method.upper()} {path}" for path, kinds in paths.items() for method in kinds}
    assert set(re.findall(r"\| `([A-Z]+ /api/v1/\S+)`", API)) == real


def test_every_error_code_is_documented() -> None:
    def tree(kind: type[errors.CoreError]) -> set[tuple[int, str]]:
        return {(kind.status, kind.code)}.union(*map(tree, kind.__subclasses__()))

    documented = {(int(status), code) for status, code in re.findall(r"\| (\d+) \| `(\w+)`", API)}
    assert tree(errors.CoreError) <= documented


def test_the_limits_in_the_table_are_the_real_ones() -> None:
    for what, most in (
        ("tagline", limits.TAGLINE),
        ("description", limits.DESCRIPTION),
        ("greeting", limits.GREETING),
        ("alternate greetings", limits.GREETINGS),
        ("definition", limits.DEFINITION),
        ("example dialogues", limits.EXAMPLES),
    ):
        assert re.search(rf"\| {what} \| {most:,} \|", API), what


def test_every_audited_action_is_documented() -> None:
    sources = (ROOT / "src/troupe/core").rglob("*.py")
    calls = re.compile(r'record\(\s*[^,]+, "([a-z.]+)"')
    used = {action for path in sources for action in calls.findall(path.read_text())}
    assert len(used) > 10
    assert set(re.findall(r"`([a-z]+\.[a-z]+)`", ADMIN)) == used


def test_every_metric_is_documented() -> None:
    for metric in (metrics.REQUESTS, metrics.SECONDS):
        assert metric.describe()[0].name in ADMIN
