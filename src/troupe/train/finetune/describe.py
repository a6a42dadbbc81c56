"""What a run would do, without doing it: for `--dry-run`.

Called by the command line.
"""

from __future__ import annotations

import torch

from troupe.train.finetune import config as configs
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.finetune.loop import check_length, make_method, read
from troupe.train.models.folders import shaped_model
from troupe.train.parallel.ranks import Ranks

# float32 each: the weight, its gradient, AdamW's two moments
_BYTES_A_PARAMETER = 16


def describe(config: FinetuneConfig, kind: configs.Method) -> list[tuple[str, str]]:
    """Rows of a table. Raises `TrainError` and the engine's `CheckpointError`."""
    with torch.device("meta"):
        model = shaped_model(config.base)
    parameters = sum(p.numel() for p in model.parameters())
    check_length(config, model)
    data = read(config, kind, config.data)
    plan = make_method(config, kind, data, lambda: torch.zeros(len(data.documents)), Ranks()).plan()
    lengths = data.lengths
    rows = [row for step in plan for micro in step for row in micro.rows]
    filled = sum(lengths[n] for row in rows for n in row)
    room = sum(
        len(micro.rows) * max(sum(lengths[n] for n in row) for row in micro.rows)
        for step in plan
        for micro in step
    )
    learned = sum(w > 0 for document in data.documents for w in document.weights[1:])
    return [
        ("model", f"{config.base.name}, {parameters:,} parameters"),
        ("examples", f"{len(data.examples):,}, and {data.dropped:,} too long"),
        ("tokens", f"{sum(lengths):,}, of which {learned:,} are learned"),
        ("updates", f"{len(plan):,} in {config.epochs} epoch(s)"),
        ("rows", f"{len(rows):,}, {1 - filled / room:.1%} padding"),
        ("memory", f"{parameters * _BYTES_A_PARAMETER / 2**20:,.0f} MiB and activations"),
    ]
