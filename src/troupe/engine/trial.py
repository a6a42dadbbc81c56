"""A trial of a model: load it, compare it with the reference, let it talk, and measure.

What `troupe models check` shows: whether the backend computes what the reference computes, how fast
it is here, and what it takes. The reference is torch in float32, so it is asked only where torch is
installed and the memory is there.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from troupe.engine.backends import Name, choose
from troupe.engine.config import ModelConfig
from troupe.engine.cuts import softmax
from troupe.engine.native.packfile import PackCache
from troupe.engine.steps import PAGE, Arena, Floats, Span, StepModel
from troupe.engine.text import Vocabulary
from troupe.engine.weights import parameters

TEXT = (
    "The old lighthouse stood at the end of the pier, and every evening its keeper climbed the "
    "stairs to light the lamp. One night a storm came in from the sea, and the waves rose higher "
    "than anyone in the village could remember. The keeper looked out of the window and saw"
)
MOST_TOKENS = 96  # of the text
JUDGED = 32  # of its tokens: the last
GENERATED = 48
CONTEXT = 256


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near the backend's next-token distributions are to the reference's."""

    divergence: float  # mean Kullback-Leibler divergence from the reference, nats
    agreement: float  # share of tokens where both find the same one likeliest
    tokens: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial found."""

    backend: str
    how: str
    load_s: float
    peak_bytes: int  # the most memory that this process has taken up to then
    prompt_tokens_s: float
    tokens_s: float  # of one answer
    generated: int  # tokens
    text: str
    closeness: Closeness | None
    not_compared: str  # why there is no `closeness`; empty where there is


def trial(
    folder: Path, backend: Name, threads: int, free_bytes: int, packs: PackCache | None = None
) -> Trial:
    """Try the model in `folder`. `free_bytes`: memory that the reference may take; `packs`: where
    packed weights are kept. Raises `CheckpointError` and `EngineError` for a model that cannot be
    served."""
    config, vocabulary = ModelConfig.load(folder), Vocabulary.load(folder)
    ids = _tokens(config, vocabulary)
    chosen = choose(backend, config, packs)
    context = min(config.max_position_embeddings, CONTEXT)
    started = time.perf_counter()
    model = chosen.load(folder, context, threads)
    loaded = time.perf_counter()
    arena: Arena = chosen.arena(config, 1 + -(-context // PAGE))
    answer, prompt_s, answer_s = _talk(model, arena, config, ids, context)
    logits = _judged_logits(model, arena, ids)
    why_not = _why_not_compared(config, free_bytes)
    how, peak = model.how, peak_bytes()
    del model, arena
    return Trial(
        backend=chosen.name,
        how=how,
        load_s=loaded - started,
        peak_bytes=peak,
        prompt_tokens_s=len(ids) / prompt_s,
        tokens_s=len(answer) / answer_s if answer else 0.0,
        generated=len(answer),
        text=vocabulary.decode(answer),
        closeness=None if why_not else _compare(folder, ids, logits),
        not_compared=why_not,
    )


def peak_bytes() -> int:
    """The most memory that this process has taken so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _tokens(config: ModelConfig, vocabulary: Vocabulary) -> list[int]:
    ids: list[int] = vocabulary.tokenizer.encode(TEXT, add_special_tokens=False).ids
    first = [] if config.bos_token_id is None else [config.bos_token_id]
    most = min(MOST_TOKENS, config.max_position_embeddings // 2)
    return [token for token in (*first, *ids) if 0 <= token < config.vocab_size][:most]


def _pages(tokens: int) -> list[int]:
    return list(range(1, 2 + (tokens - 1) // PAGE))


def _talk(
    model: StepModel[Arena], arena: Arena, config: ModelConfig, ids: Sequence[int], context: int
) -> tuple[list[int], float, float]:
    """The likeliest answer, and the seconds of the prompt and of the answer."""
    known, pages = list(ids), _pages(context)
    started = time.perf_counter()
    (logits,) = model.step([Span(ids, 0, pages, True)], arena)
    read = time.perf_counter()
    for _ in range(min(GENERATED, context - len(ids))):
        token = int(np.argmax(logits))
        if token in config.eos_token_ids:
            break
        known.append(token)
        (logits,) = model.step([Span([token], len(known) - 1, pages, True)], arena)
    return known[len(ids) :], read - started, time.perf_counter() - read


def _judged_logits(model: StepModel[Arena], arena: Arena, ids: Sequence[int]) -> list[Floats]:
    """Logits after each of the last tokens, as decodes make them."""
    known, pages, found = max(0, len(ids) - JUDGED), _pages(len(ids)), []
    if known:
        model.step([Span(ids[:known], 0, pages, False)], arena)
    for at in range(known, len(ids)):
        found.append(model.step([Span([ids[at]], at, pages, True)], arena)[0])
    return found


def _why_not_compared(config: ModelConfig, free_bytes: int) -> str:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed: `pip install troupe[torch]`"
    needed = 4 * parameters(config) * 5 // 4
    if needed > free_bytes:
        return (
            f"the reference needs {needed / 2**30:.1f} GB of memory, and {free_bytes / 2**30:.1f} "
            "GB are free"
        )
    return ""


def _compare(folder: Path, ids: Sequence[int], logits: Sequence[Floats]) -> Closeness:
    import torch

    from troupe.engine.ref import Model

    with torch.inference_mode():
        rows = Model.load(folder)(torch.tensor([ids]))[0, -len(logits) :]
        expected = torch.log_softmax(rows, -1).numpy()
    divergences, agreeing = [], 0
    for one, other in zip(expected, logits, strict=True):
        actual = np.log(np.maximum(softmax(other), 1e-38))
        divergences.append(float((np.exp(one) * (one - actual)).sum()))
        agreeing += int(np.argmax(one) == np.argmax(other))
    return Closeness(float(np.mean(divergences)), agreeing / len(logits), len(logits))
