"""The fine-tuning loop: steps in, a model folder out; stops and resumes bit for bit.

Losses of microbatches are summed, over processes too, and divided by the whole step's count. A
checkpoint holds weights, optimiser and the number of the next step; the plan and the reference's
log-probabilities follow from the configuration and the data. Called by the command line.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from troupe.engine.ref import Model
from troupe.train.attention import fold_attention
from troupe.train.errors import ResumeError, TrainError
from troupe.train.finetune import config as configs
from troupe.train.finetune.chats import ChatEncoder
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.finetune.data import Dataset, fingerprint, judged, pairs, talks
from troupe.train.finetune.methods import Imitation, Method, Pairs, Thumbs, document_logps
from troupe.train.finetune.plan import Step
from troupe.train.models.deepseek import DeepSeek
from troupe.train.models.folders import TrainModel, load_model
from troupe.train.parallel import checkpoint
from troupe.train.parallel.ranks import Ranks
from troupe.train.parallel.shard import clip, shard
from troupe.train.runs import adamw, append_log, write_whole

log = logging.getLogger("troupe.train")

CHECKPOINT = "checkpoint"
REFERENCE = "reference.pt"
_FACTS = ("identity", "step", "tokens", "seconds")


@dataclass(frozen=True, slots=True)
class Progress:
    """What one update came to. `loss` is a mean over its tokens, pairs or answers."""

    step: int
    steps: int
    loss: float
    gradient_norm: float
    learning_rate: float
    tokens: int  # that went through the model so far, padding left out
    tokens_per_second: float
    seconds_left: float
    figures: Mapping[str, float]  # accuracy and margin of preferences


@dataclass(slots=True)
class State:
    """A run in the making."""

    config: FinetuneConfig
    kind: configs.Method
    data: Dataset
    method: Method
    plan: list[Step]
    model: TrainModel
    optimizer: torch.optim.AdamW
    identity: str
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    ranks: Ranks = field(default_factory=Ranks)


def start(config: FinetuneConfig, kind: configs.Method, ranks: Ranks | None = None) -> State:
    """A fresh run from `config.base`, in this process or these. Raises `TrainError` and the
    engine's `CheckpointError`."""
    if config.threads:
        torch.set_num_threads(config.threads)
    data = read(config, kind, config.data)
    model = load_model(config.base)
    if isinstance(model, Model):
        fold_attention(model)
    check_length(config, model)
    ranks = ranks or Ranks()
    shard(model, ranks)
    optimizer = _optimizer(config, model)  # of the parts, before a pass gathers them
    config.run.mkdir(parents=True, exist_ok=True)
    identity = _identity(config, kind)
    method = make_method(
        config, kind, data, lambda: _reference(config, identity, model, data, ranks), ranks
    )
    plan = method.plan()
    if data.dropped:
        log.warning("%d examples are longer than a row and were left out", data.dropped)
    return State(config, kind, data, method, plan, model, optimizer, identity, ranks=ranks)


def check_length(config: FinetuneConfig, model: TrainModel) -> None:
    """Raises `TrainError` if rows are longer than what the model can see."""
    longest = model.config.max_position_embeddings
    if config.batch.length > longest:
        raise TrainError(
            f"batch.length is {config.batch.length}; the model has {longest} positions"
        )


def read(config: FinetuneConfig, kind: configs.Method, files: Sequence[Path]) -> Dataset:
    """The documents of these files. Raises `DataError`."""
    reader = {"sft": talks, "dpo": pairs, "kto": judged}[kind]
    return reader(files, ChatEncoder(config.base), config.batch)


def save(state: State) -> None:
    """Write the checkpoint."""
    facts = {name: getattr(state, name) for name in _FACTS}
    folder = state.config.run / CHECKPOINT
    checkpoint.write(folder, state.model, state.optimizer, facts, state.ranks)


def resume(config: FinetuneConfig, kind: configs.Method, ranks: Ranks | None = None) -> State:
    """Continue from the run's checkpoint, in as many processes as one likes. Raises `ResumeError`
    if there is none, or if another configuration, other data or another method made it."""
    path = config.run / CHECKPOINT
    if not checkpoint.exists(path):
        raise ResumeError(f"{path} does not exist: start the run without --resume")
    state = start(config, kind, ranks)
    saved = checkpoint.read_facts(path, {name: getattr(state, name) for name in _FACTS})
    if saved["identity"] != state.identity:
        raise ResumeError(
            f"{path} was made by another configuration, from other data or another model: use its "
            "own, or start afresh in another folder"
        )
    checkpoint.read(path, state.model, state.optimizer, state.ranks)
    state.step, state.tokens, state.seconds = saved["step"], saved["tokens"], saved["seconds"]
    return state


def run(
    state: State,
    report: Callable[[Progress], None] = lambda _: None,
    until: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train to the end, or to step `until`; writes a checkpoint every few minutes and at last."""
    end = len(state.plan) if until is None else min(until, len(state.plan))
    saved_at = last = clock()
    while state.step < end:
        step = state.plan[state.step]
        loss, norm = update(state, step)
        state.step += 1
        documents = state.data.documents
        state.tokens += sum(len(documents[n].ids) for micro in step for n in micro.documents)
        now = clock()
        state.seconds += now - last
        last = now
        report(_progress(state, loss, norm))
        if now - saved_at > state.config.checkpoint_minutes * 60:
            save(state)
            saved_at = now
    save(state)


def update(state: State, step: Step) -> tuple[float, float]:
    """One update of the weights; gives the loss and the gradient's norm before clipping."""
    loss, figures = gradients(state, step)
    state.figures = figures
    norm = clip(state.model, state.config.optimizer.clip)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(state.config, state.step, len(state.plan))
    state.optimizer.step()
    if isinstance(state.model, DeepSeek):
        for router in state.model.routers():
            state.ranks.sum(router.load)
            router.balance(state.config.optimizer.balance_rate)
    return loss, norm


def gradients(state: State, step: Step) -> tuple[float, dict[str, float]]:
    """Fill the parameters' gradients with those of the step's mean loss; gives it and the step's
    other figures."""
    model, method = state.model, state.method
    state.optimizer.zero_grad(set_to_none=True)
    divisor, sums = method.divisor(step), {"loss": 0.0}
    with autocast(state.config):
        method.begin(model, step)
    for micro, counts in state.ranks.share(step):
        model.train(counts)  # experts count what they are given in training
        with autocast(state.config):
            loss, figures = method.loss(model, micro)
        # Sharded gradients come as the mean over processes.
        (loss * (state.ranks.count * counts / divisor)).backward()  # type: ignore[no-untyped-call]
        for name, value in {"loss": loss.item(), **figures}.items():
            sums[name] = sums.get(name, 0.0) + value * counts
    means = {name: value / divisor for name, value in state.ranks.sums(sums).items()}
    return means.pop("loss"), means


def learning_rate(config: FinetuneConfig, step: int, steps: int) -> float:
    """Warm-up, then a straight line to zero behind the last step."""
    options = config.optimizer
    warmup = math.ceil(steps * options.warmup)
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    return options.learning_rate * (steps - step) / max(1, steps - warmup)


def write_log(config: FinetuneConfig, progress: Progress) -> None:
    """One JSON line a step in `log.jsonl`."""
    line = {
        "step": progress.step, "loss": round(progress.loss, 6),
        "gradient_norm": round(progress.gradient_norm, 5),
        "learning_rate": progress.learning_rate, "tokens": progress.tokens,
        "tokens_per_second": round(progress.tokens_per_second, 1),
        **{name: round(value, 5) for name, value in progress.figures.items()},
    }  # fmt: skip
    append_log(config.run, line)


def autocast(config: FinetuneConfig) -> torch.autocast:
    """The precision that the run computes in."""
    return torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16")


def make_method(
    config: FinetuneConfig,
    kind: configs.Method,
    data: Dataset,
    reference: Callable[[], Tensor],
    ranks: Ranks,
) -> Method:
    """The method over these documents; `reference` is called where one is needed."""
    if kind == "sft":
        return Imitation(config, data)
    return (Pairs if kind == "dpo" else Thumbs)(config, data, reference(), ranks)


def _reference(
    config: FinetuneConfig, identity: str, model: TrainModel, data: Dataset, ranks: Ranks
) -> Tensor:
    """Log-probabilities of all documents under the model that the run starts from: computed once,
    and kept beside the checkpoint."""
    path = config.run / REFERENCE
    if path.exists():
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        if saved["identity"] == identity:
            kept: Tensor = saved["logps"]
            return kept
    with autocast(config):
        found = document_logps(model, data, range(len(data.documents)), config, ranks)
    ranks.wait()  # no process looks for the file while it is written
    if ranks.first:
        write_whole(path, {"identity": identity, "logps": found})
    return found


def _optimizer(config: FinetuneConfig, model: nn.Module) -> torch.optim.AdamW:
    options = config.optimizer
    return adamw(model, options.learning_rate, options.betas, options.weight_decay)


def _identity(config: FinetuneConfig, kind: configs.Method) -> str:
    """All that decides the numbers."""
    free = {"run", "base", "data", "held_out", "threads", "checkpoint_minutes", "log_every"}
    base = sorted(p for p in config.base.iterdir() if p.suffix in (".safetensors", ".json"))
    return json.dumps(
        {
            "method": kind,
            "config": config.model_dump(mode="json", exclude=free),
            "data": fingerprint(config.data),
            "base": fingerprint(base),
        },
        sort_keys=True,
    )


def _progress(state: State, loss: float, norm: float) -> Progress:
    rate = state.tokens / max(state.seconds, 1e-9)
    left = state.seconds / state.step * (len(state.plan) - state.step)
    used = learning_rate(state.config, state.step - 1, len(state.plan))
    return Progress(
        state.step, len(state.plan), loss, norm, used, state.tokens, rate, left, state.figures
    )
