"""How a run changed the model on data held out: the mean loss, and the accuracy of preferences.

Called by the command line at the end of a run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from troupe.train.finetune import config as configs
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.finetune.data import Dataset
from troupe.train.finetune.loop import State, autocast, make_method, read
from troupe.train.finetune.methods import document_logps
from troupe.train.models.folders import TrainModel, load_model
from troupe.train.parallel.ranks import Ranks
from troupe.train.parallel.shard import shard


def score(state: State) -> list[tuple[str, float, float]]:
    """Name, figure of the base, figure of the trained model; nothing if nothing is held out."""
    if not state.config.held_out:
        return []
    data = read(state.config, state.kind, state.config.held_out)
    base, ranks = load_model(state.config.base), state.ranks
    shard(base, ranks)
    before = held_out_figures(state.config, state.kind, data, base, base, ranks)
    after = held_out_figures(state.config, state.kind, data, state.model, base, ranks)
    return [(name, before[name], after[name]) for name in after]


def held_out_figures(
    config: FinetuneConfig,
    kind: configs.Method,
    data: Dataset,
    model: TrainModel,
    base: TrainModel,
    ranks: Ranks,
) -> dict[str, float]:
    """`loss`, and what the method's steps report beside it, over all of `data`."""
    numbers: Sequence[int] = range(len(data.documents))
    once = config.model_copy(update={"epochs": 1})
    with torch.no_grad(), autocast(config):
        method = make_method(
            once, kind, data, lambda: document_logps(base, data, numbers, config, ranks), ranks
        )
        plan = method.plan()
        whole = tuple(micro for step in plan for micro in step)
        method.begin(model, whole)
        divisor, sums = method.divisor(whole), {"loss": 0.0}
        model.eval()
        for micro, counts in ranks.share(whole):
            loss, figures = method.loss(model, micro)
            for name, value in {"loss": loss.item(), **figures}.items():
                sums[name] = sums.get(name, 0.0) + value * counts
    return {name: value / divisor for name, value in ranks.sums(sums).items()}
