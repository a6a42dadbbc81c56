"""Checkpoints that any number of processes write and any other number reads.

A folder in the format of `torch.distributed.checkpoint`, which holds tensors by name, whole or in
parts. It is written beside the old one and put in its place by renaming, so a kill leaves one of
the two. Called by the loop.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from troupe.train.models.folders import TrainModel
from troupe.train.parallel.ranks import Ranks
from troupe.train.parallel.shard import settle


def write(
    folder: Path,
    model: TrainModel,
    optimizer: torch.optim.Optimizer,
    facts: Mapping[str, Any],
    ranks: Ranks,
) -> None:
    """Write weights, optimiser state and `facts` (plain values)."""
    settle(model)
    weights, moments = get_state_dict(model, optimizer)
    partial, old = folder.with_suffix(".partial"), folder.with_suffix(".old")
    if ranks.first:
        shutil.rmtree(partial, ignore_errors=True)
    ranks.wait()
    state = {"model": weights, "optimizer": moments, "facts": dict(facts)}
    save(state, checkpoint_id=partial, no_dist=ranks.count == 1)
    ranks.wait()
    if ranks.first:
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    ranks.wait()


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint; one that a kill left half renamed is put in its place."""
    old = folder.with_suffix(".old")
    if not folder.exists() and old.exists():
        old.rename(folder)
    return folder.exists()


def read_facts(folder: Path, names: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of these names."""
    state = {"facts": dict(names)}
    load(state, checkpoint_id=folder, no_dist=True)
    return state["facts"]


def read(folder: Path, model: TrainModel, optimizer: torch.optim.Optimizer, ranks: Ranks) -> None:
    """Fill model and optimiser, each process its own part."""
    settle(model)
    weights, moments = get_state_dict(model, optimizer)
    # Tensors are filled where they are.
    state = {"model": weights, "optimizer": moments}
    load(state, checkpoint_id=folder, no_dist=ranks.count == 1)
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=moments)


def whole_tensors(model: TrainModel) -> dict[str, Tensor]:
    """All parameters and lasting buffers in full, in the first process; nothing in the others.
    All must call it."""
    settle(model)
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    found = get_model_state_dict(model, options=options)
    return {name: tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}
