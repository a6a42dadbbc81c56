"""Parameters, gradients and optimiser state spread over the processes of a run (FSDP2).

Each process holds a part of every layer and gathers a layer when it is run. Gradients are averaged
by torch; the loop multiplies its losses by the number of processes, so that they are sums (gloo
cannot scale while it sums). Called by the loop; stock `torch.distributed`.
"""

from __future__ import annotations

from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from troupe.train.models.folders import TrainModel
from troupe.train.parallel.ranks import Ranks


def shard(model: TrainModel, ranks: Ranks) -> None:
    """Spread the model's parameters; nothing where there is one process."""
    if ranks.count == 1:
        return
    mesh = init_device_mesh("cpu", (ranks.count,), mesh_dim_names=("data",))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for name in ("hidden", "logits"):
        register_fsdp_forward_method(model, name)


def settle(model: nn.Module) -> None:
    """Let go of what the last pass gathered: a pass without gradients leaves the outermost
    parameters whole."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def clip(model: nn.Module, largest: float) -> float:
    """Scale the gradients down to norm `largest`; gives the norm before, the same everywhere."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), largest)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
