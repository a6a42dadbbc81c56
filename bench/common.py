"""What every benchmark writes: a table for people, a JSON file and a plot for the record."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def report(
    name: str,
    figures: Mapping[str, float],
    rows: Sequence[tuple[str, float, str]],
    packages: Sequence[str],
    draw: Callable[[Figure], None],
    details: Mapping[str, Any] | None = None,
    part: str | None = None,
) -> Path:
    """Print `rows` (what, value, unit) and write bench/results/NAME.json and NAME.svg.

    `figures` are those that every release is compared by; gives the JSON file's path. A `part` of
    a benchmark keeps what the other parts have written: its details go under its own name, and its
    plot is NAME-PART.svg.
    """
    wide = max(len(label) for label, _, _ in rows)
    for label, value, unit in rows:
        print(f"{label:<{wide}}  {value:>12,.2f} {unit}")
    RESULTS.mkdir(exist_ok=True)
    result = {
        "figures": {key: round(value, 4) for key, value in figures.items()},
        "details": dict(details or {}),
        "machine": machine(),
        "versions": {package: version(package) for package in packages},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = RESULTS / f"{name}.json"
    if part is not None:
        result = _with_others(path, part, result)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    draw(figure)
    figure.savefig(RESULTS / (f"{name}.svg" if part is None else f"{name}-{part}.svg"))
    return path


def _with_others(path: Path, part: str, result: dict[str, Any]) -> dict[str, Any]:
    """The file's results with those of one part put in, each part with its machine and date."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    own = {**result["details"], **{key: result[key] for key in ("machine", "versions", "date")}}
    return {
        **result,
        "figures": {**kept.get("figures", {}), **result["figures"]},
        "details": {**kept.get("details", {}), part: own},
        "versions": {**kept.get("versions", {}), **result["versions"]},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


def add_figures(name: str, figures: Mapping[str, float]) -> None:
    """Put figures that another benchmark measured into NAME.json, if that was measured."""
    path = RESULTS / f"{name}.json"
    if path.exists():
        result = json.loads(path.read_text(encoding="utf-8"))
        result["figures"] |= {key: round(value, 4) for key, value in figures.items()}
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
