"""What a step of the engine costs: the C++ operator beside torch, and beside the machine's limits.

    python -m bench.engine [MODEL]

Both backends run the same model (the shipped one unless another folder is named) on one thread and
take turns; then the operator alone, whose steps are held against the floor, since torch's would
clear the caches between them. A step runs one new token for each of some sequences, every one with
512 tokens behind it; a prefill runs 256. The floor of a step is the larger of two times: its bytes
(weights, keys and values) over the bandwidth of memory as measured here by reading 256 MB, and its
integer operations over the rate that the operator's product reaches on data in the cache. The bare
floor takes instead the rate of a loop that multiplies in registers and does nothing else, which no
change to the operator moves. The divergence is of the operator's next-token distribution from
float32, over the last 60 tokens of held-out conversations.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bench.common import report
from matplotlib.figure import Figure
from tests.support.divergence import divergence

from troupe.engine.backends import choose
from troupe.engine.config import ModelConfig
from troupe.engine.native import library
from troupe.engine.native.arena import token_bytes
from troupe.engine.native.rate import operation_rate, read_rate, register_rate
from troupe.engine.steps import PAGE, Span
from troupe.train.corpus import Size

SHIPPED = Path(__file__).parent.parent / "src/troupe/models/troupe-small"
BEHIND = 512  # tokens of every sequence
PREFILL = 256
BATCHES = (1, 4, 16)
CONTEXT = 1024


class Runner:
    """One backend with 16 sequences in memory."""

    def __init__(self, name: Any, folder: Path, config: ModelConfig) -> None:
        backend = choose(name, config)
        self.model = backend.load(folder, CONTEXT, 1)
        each = CONTEXT // PAGE
        self.arena = backend.arena(config, 1 + each * max(BATCHES))
        self.pages = [list(range(1 + each * i, 1 + each * (i + 1))) for i in range(max(BATCHES))]
        rng = random.Random(1)
        self.tokens = [rng.randrange(8, config.vocab_size) for _ in range(BEHIND)]
        for pages in self.pages:
            for start in range(0, BEHIND, PREFILL):
                chunk = self.tokens[start : start + PREFILL]
                self.model.step([Span(chunk, start, pages, False)], self.arena)

    def decode(self, count: int) -> None:
        """A new token for each of `count` sequences."""
        spans = [Span([9], BEHIND, pages, True) for pages in self.pages[:count]]
        self.model.step(spans, self.arena)

    def prefill(self) -> None:
        """The second chunk of a prompt."""
        chunk = self.tokens[:PREFILL]
        self.model.step([Span(chunk, PREFILL, self.pages[0], True)], self.arena)


def in_turns(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each call, taking turns, after some that do not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for n in range(-3, rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if n >= 0:
                times[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def weight_count(config: ModelConfig) -> int:
    """Weights that a decoded token is multiplied with, the head's included."""
    total = config.vocab_size * config.hidden_size
    for layer in range(config.num_hidden_layers):
        dim, inner = config.dim(layer), config.mlp_size(layer)
        heads = 2 * config.num_attention_heads  # queries in, values out
        if layer < config.first_shared_layer:
            heads += 2 * config.num_key_value_heads
        total += config.hidden_size * (heads * dim + 3 * inner)
    return total


def floor_ms(config: ModelConfig, count: int, read: float, rate: float) -> tuple[float, float]:
    """Milliseconds of a step of `count` sequences by bytes, and by operations."""
    weights = weight_count(config)
    seen = sum(
        min(BEHIND + 1, config.sliding_window) if kind == "sliding_attention" else BEHIND + 1
        for kind in config.layer_types
    )
    kv_each = seen * token_bytes(config) / config.first_shared_layer
    attention = sum(
        4 * config.num_attention_heads * config.dim(i) * (seen / config.num_hidden_layers)
        for i in range(config.num_hidden_layers)
    )
    moved = weights + count * kv_each
    done = count * (2 * weights + attention)
    return 1e3 * moved / read, 1e3 * done / rate


def main() -> None:
    """Run all and write bench/results/engine.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=SHIPPED)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    config = ModelConfig.load(options.model)
    runners = {name: Runner(name, options.model, config) for name in ("native", "eager")}
    read, rate, bare = read_rate(), operation_rate(), register_rate()
    rows: list[tuple[str, float, str]] = []
    figures: dict[str, float] = {}
    shown: dict[str, dict[str, float]] = {}
    for count in BATCHES:
        found = in_turns(
            {name: partial(runner.decode, count) for name, runner in runners.items()},
            options.rounds,
        )
        # Steps that follow one another, as in serving.
        found |= in_turns(
            {"native alone": partial(runners["native"].decode, count)}, 3 * options.rounds
        )
        by_bytes, by_operations = floor_ms(config, count, read, rate)
        at_best = floor_ms(config, count, read, bare)[1]
        shown[str(count)] = found | {"floor": max(by_bytes, by_operations)}
        rows += [(f"step of {count}: {name}", ms, "ms") for name, ms in found.items()]
        rows += [
            (f"step of {count}: floor by bytes", by_bytes, "ms"),
            (f"step of {count}: floor by operations", by_operations, "ms"),
            (f"step of {count}: bare floor by operations", at_best, "ms"),
        ]
        figures[f"step_ratio_torch_{count}"] = found["eager"] / found["native"]
        figures[f"step_over_floor_{count}"] = found["native alone"] / max(by_bytes, by_operations)
        figures[f"step_over_bare_floor_{count}"] = found["native alone"] / max(by_bytes, at_best)
    found = in_turns(
        {name: runner.prefill for name, runner in runners.items()}, options.rounds // 5
    )
    rows += [(f"prefill of {PREFILL}: {name}", ms, "ms") for name, ms in found.items()]
    figures["prefill_ratio_torch"] = found["eager"] / found["native"]
    figures["step_over_floor"] = figures[f"step_over_floor_{max(BATCHES)}"]
    figures["kl_int8"] = statistics.fmean(divergence(options.model, 4242, 12, Size(9, 2400), 900))
    usual = 12 * 8 * 2 * config.head_dim * 2  # twelve layers of eight bfloat16 heads
    figures["kv_bytes_ratio"] = usual / token_bytes(config)
    rows += [(key, value, "") for key, value in figures.items()]
    rows += [
        ("keys and values", token_bytes(config), "bytes a token"),
        ("memory read", read / 1e9, "GB a second"),
        ("integer product in the cache", rate / 1e9, "billion operations a second"),
        ("multiplication in registers", bare / 1e9, "billion operations a second"),
        ("load of the machine before", load, ""),
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name in ("eager", "native", "native alone", "floor"):
            axes.plot(BATCHES, [shown[str(count)][name] for count in BATCHES], "o-", label=name)
        axes.set(xlabel="sequences", ylabel="ms a step", xscale="log", yscale="log")
        axes.legend()

    report(
        "engine",
        figures,
        rows,
        ("torch", "numpy"),
        draw,
        {
            "command": "python -m bench.engine",
            "model": options.model.name,
            "instruction_set": library.instruction_set(),
            "load_of_the_machine_before": load,
            "ms": shown,
        },
        part="step",
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
