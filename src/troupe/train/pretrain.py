"""The training loop: rows in, a model out; stops and resumes at any checkpoint, bit for bit.

The corpus is made on the fly. A checkpoint holds weights, optimiser, step and position in the
corpus; dropout-free training needs no other random state. Called by the command line.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from troupe.engine.ref import Model
from troupe.train.attention import fold_attention
from troupe.train.config import Stage, TrainConfig
from troupe.train.corpus import Size, Split, dialogue, dialogues
from troupe.train.data import Batch, Document, encode, pack
from troupe.train.errors import ResumeError
from troupe.train.runs import CHECKPOINT, adamw, append_log, write_whole
from troupe.train.tokenizer import TextTokenizer, save_tokenizer, train_tokenizer

log = logging.getLogger("troupe.train")


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step came to. `loss` is in nats an answer token; `seconds_left` is an estimate."""

    step: int
    steps: int
    loss: float
    gradient_norm: float
    learning_rate: float
    tokens: int
    tokens_per_second: float
    seconds_left: float


@dataclass(slots=True)
class State:
    """A run in the making."""

    config: TrainConfig
    tokenizer: TextTokenizer
    model: Model
    optimizer: torch.optim.AdamW
    step: int = 0
    position: int = 0  # next document of the stage
    tokens: int = 0
    seconds: float = 0.0


def prepare_tokenizer(config: TrainConfig) -> TextTokenizer:
    """The run's tokenizer, trained on the corpus the first time."""
    if not (config.run / "tokenizer.json").exists():
        sizes = {(stage.most_facts, stage.characters) for stage in config.stage}
        facts, characters = max(sizes)
        stream = dialogues(config.corpus.seed, Split.TRAIN, Size(facts, characters))
        texts = (
            text
            for d in islice(stream, config.corpus.tokenizer_dialogues)
            for text in (d.system, *(m.text for m in d.messages))
        )
        data = train_tokenizer(texts, config.model.vocab_size)
        save_tokenizer(data, config.run, max(stage.length for stage in config.stage))
    return TextTokenizer.load(config.run)


def start(config: TrainConfig) -> State:
    """A fresh run: tokenizer and initial weights."""
    config.run.mkdir(parents=True, exist_ok=True)
    tokenizer = prepare_tokenizer(config)
    model = Model(config.model.to_model())
    model.initialise(torch.Generator().manual_seed(config.seed))
    fold_attention(model)
    return State(config, tokenizer, model, _optimizer(config, model))


def _optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.AdamW:
    options = config.optimizer
    return adamw(model, options.learning_rate, options.betas, options.weight_decay)


def save(state: State) -> None:
    """Write the checkpoint."""
    data = {
        "config": _identity(state.config),
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "step": state.step,
        "position": state.position,
        "tokens": state.tokens,
        "seconds": state.seconds,
    }
    write_whole(state.config.run / CHECKPOINT, data)


def resume(config: TrainConfig) -> State:
    """Continue from the run's checkpoint. Raises `ResumeError` if there is none, or if it was
    made by a configuration that would compute something else."""
    path = config.run / CHECKPOINT
    if not path.exists():
        raise ResumeError(f"{path} does not exist: start the run without --resume")
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    if saved["config"] != _identity(config):
        raise ResumeError(f"{path} belongs to another configuration: use its own, or start afresh")
    state = start(config)
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.step, state.position = saved["step"], saved["position"]
    state.tokens, state.seconds = saved["tokens"], saved["seconds"]
    return state


def _identity(config: TrainConfig) -> str:
    """All that decides the numbers."""
    free = {"run", "threads", "checkpoint_minutes", "log_every"}
    return json.dumps(config.model_dump(mode="json", exclude=free), sort_keys=True)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Warm-up, flat, then a straight line to zero at the last step."""
    options, steps = config.optimizer, config.steps
    rate = options.learning_rate
    if step < options.warmup_steps:
        return rate * (step + 1) / options.warmup_steps
    decay = round(steps * options.decay_fraction)
    left = steps - step
    return rate * min(1.0, left / decay) if decay else rate


def batch_loss(model: Model, batch: Batch) -> Tensor:
    """Mean cross-entropy over the supervised tokens, by weight; in nats. Only their logits are
    computed."""
    hidden = model.hidden(batch.ids, batch.positions, batch.documents)
    chosen = batch.weights > 0
    weights = batch.weights[chosen]
    logits = model.logits(hidden[chosen]).float()
    losses = F.cross_entropy(logits, batch.targets[chosen], reduction="none")
    return (losses * weights).sum() / weights.sum()


def documents(
    config: TrainConfig, tokenizer: TextTokenizer, stage: Stage
) -> Callable[[int], Document]:
    """The stage's documents by number."""
    size = Size(stage.most_facts, stage.characters)

    @lru_cache(maxsize=4)  # the one that did not fit a batch opens the next
    def document(index: int) -> Document:
        made = dialogue(config.corpus.seed, index, Split.TRAIN, size)
        return encode(tokenizer, made, config.corpus.context_weight, config.corpus.fact_weight)

    return document


def train_step(state: State, batch: Batch) -> tuple[float, float]:
    """One update; gives the loss and the gradient's norm before clipping."""
    config = state.config
    rate = learning_rate(config, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
        loss = batch_loss(state.model, batch)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.optimizer.clip)
    state.optimizer.step()
    return loss.item(), norm.item()


def run(
    state: State,
    report: Callable[[Progress], None] = lambda _: None,
    until: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train to the end, or to step `until`; writes a checkpoint every few minutes and at last."""
    config = state.config
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.compile:
        state.model.model.compile(dynamic=True)
    end = config.steps if until is None else min(until, config.steps)
    state.model.train()
    saved_at = last = clock()
    source, current = None, -1
    while state.step < end:
        index = config.stage_at(state.step)
        stage = config.stage[index]
        if source is None or index != current:
            if source is not None:
                state.position = 0
            source, current = documents(config, state.tokenizer, stage), index
        batch, state.position = pack(source, state.position, stage.rows, stage.length)
        loss, norm = train_step(state, batch)
        state.step += 1
        state.tokens += int((batch.documents >= 0).sum())
        if state.step < config.steps and config.stage_at(state.step) != index:
            state.position, source = 0, None
        now = clock()
        state.seconds += now - last
        last = now
        report(_progress(state, loss, norm))
        if now - saved_at > config.checkpoint_minutes * 60:
            save(state)
            saved_at = now
    save(state)


def _progress(state: State, loss: float, norm: float) -> Progress:
    config = state.config
    rate = state.tokens / max(state.seconds, 1e-9)
    planned = sum(stage.steps * stage.rows * stage.length for stage in config.stage)
    return Progress(
        state.step, config.steps, loss, norm, learning_rate(config, state.step - 1),
        state.tokens, rate, max(0.0, planned * 0.95 - state.tokens) / max(rate, 1e-9),
    )  # fmt: skip


def write_log(folder: Path, progress: Progress) -> None:
    """One JSON line a step in `log.jsonl`."""
    line = {
        "step": progress.step, "loss": round(progress.loss, 5),
        "gradient_norm": round(progress.gradient_norm, 4),
        "learning_rate": progress.learning_rate, "tokens": progress.tokens,
        "tokens_per_second": round(progress.tokens_per_second, 1),
    }  # fmt: skip
    append_log(folder, line)
