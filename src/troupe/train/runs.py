"""What every training run has: an optimiser, a checkpoint written whole, a log, a progress bar.

Called by the loops of pretraining and fine-tuning, and by the command line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

CHECKPOINT = "checkpoint.pt"


def adamw(
    model: nn.Module, learning_rate: float, betas: tuple[float, float], weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) that decays matrices and nothing else."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def write_whole(path: Path, data: Mapping[str, Any]) -> None:
    """Save by `torch.save` in one rename, so that a kill leaves the last one whole."""
    partial = path.with_suffix(".partial")
    torch.save(dict(data), partial)
    partial.replace(path)


def append_log(folder: Path, line: Mapping[str, Any]) -> None:
    """One JSON line in `log.jsonl`."""
    with (folder / "log.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps(dict(line)) + "\n")


@contextmanager
def progress_bar(
    steps: int, done: int, log_every: int, *, shown: bool = True
) -> Iterator[Callable[[int, str], None]]:
    """A bar on a terminal, and lines every so many steps elsewhere; call what it gives with the
    steps done and a note."""
    bar = Progress(
        TextColumn("step"), MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(),
        TextColumn("{task.description}"), console=Console(stderr=True), disable=not shown,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=steps, completed=done)

        def show(step: int, note: str) -> None:
            bar.update(task, completed=step, description=note)
            if not sys.stderr.isatty() and step % log_every == 0:
                print(f"step {step}/{steps}  {note}", flush=True)

        yield show
