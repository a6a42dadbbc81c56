"""Running prompts through a step model, in pieces and beside each other."""

from __future__ import annotations

import random

from troupe.engine.steps import PAGE, Arena, Floats, Span, StepModel


def chunks_of(rng: random.Random, total: int) -> list[int]:
    """Sizes that add up to `total`."""
    chunks = []
    while total:
        count = min(total, rng.choice([1, 1, 2, 3, 7, 16, 40, 100]))
        chunks.append(count)
        total -= count
    return chunks


def run_together(
    model: StepModel[Arena], arena: Arena, prompts: list[list[int]], rng: random.Random
) -> list[Floats]:
    """All prompts interleaved at random, decodes and chunks in the same steps, on pages scattered
    over the arena; each one's last logits."""
    free = rng.sample(range(1, arena.pages), arena.pages - 1)
    pages = [[free.pop() for _ in range(-(-len(ids) // PAGE))] for ids in prompts]
    done = [0] * len(prompts)
    results: dict[int, Floats] = {}
    while len(results) < len(prompts):
        spans, owners = [], []
        for i, ids in enumerate(prompts):
            left = len(ids) - done[i]
            if left and rng.random() < 0.7:
                count = min(left, rng.choice([1, 1, 5, 60]))
                spans.append(Span(ids[done[i] : done[i] + count], done[i], pages[i], count == left))
                owners.append(i)
                done[i] += count
        if spans:
            logits = iter(model.step(spans, arena))
            for i, span in zip(owners, spans, strict=True):
                if span.wants_logits:
                    results[i] = next(logits)
    return [results[i] for i in range(len(prompts))]
