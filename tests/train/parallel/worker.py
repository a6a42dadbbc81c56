"""What each process of a test runs, under `torchrun`: one update's gradients, or a whole run.

python -m torch.distributed.run --nproc-per-node 2 -m tests.train.parallel.worker JOB
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from troupe.train.finetune import loop
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.parallel.checkpoint import whole_tensors
from troupe.train.parallel.ranks import Ranks, processes
from troupe.train.parallel.shard import clip


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def measured(config: FinetuneConfig, kind: str, ranks: Ranks) -> dict[str, object]:
    """Loss, other figures, gradients and their norm of the run's first step, with weights that
    have left the reference."""
    state = loop.start(config, kind, ranks)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.mul_(1.02)
    loss, figures = loop.gradients(state, state.plan[0])
    gradients = {
        name: whole(parameter.grad).clone()
        for name, parameter in state.model.named_parameters()
        if parameter.grad is not None
    }
    return {
        "loss": loss,
        "figures": figures,
        "gradients": gradients,
        "norm": clip(state.model, 1.0),
    }


def trained(
    config: FinetuneConfig, kind: str, until: int | None, ranks: Ranks
) -> dict[str, object]:
    """The weights after `until` steps, from the last checkpoint on if there is one."""
    begin = loop.resume if (config.run / loop.CHECKPOINT).exists() else loop.start
    state = begin(config, kind, ranks)  # type: ignore[arg-type]
    before = {name: tensor.clone() for name, tensor in whole_tensors(state.model).items()}
    losses: list[float] = []
    loop.run(state, lambda progress: losses.append(progress.loss), until)
    return {"before": before, "after": whole_tensors(state.model), "losses": losses}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    config = FinetuneConfig.model_validate(job["config"])
    with processes() as ranks:
        if job["do"] == "measure":
            result = measured(config, job["kind"], ranks)
        else:
            result = trained(config, job["kind"], job["until"], ranks)
        if ranks.first:
            torch.save(result, job["out"])


if __name__ == "__main__":
    main()
