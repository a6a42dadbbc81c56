"""Running prompts through a step model, in pieces and beside each other."""

from __future__ import annotations

import random

from troupe.engine.steps import GLOBAL, LOCAL, PAGE, SCRATCH_PAGE, Arena, Floats, Span, StepModel


def chunks_of(rng: random.Random, total: int) -> list[int]:
    """Sizes that add up to `total`."""
    chunks = []
    while total:
        count = min(total, rng.choice([1, 1, 2, 3, 7, 16, 40, 100]))
        chunks.append(count)
        total -= count
    return chunks


def run_together(
    model: StepModel[Arena],
    arena: Arena,
    prompts: list[list[int]],
    rng: random.Random,
    window: int = 0,
) -> list[Floats]:
    """All prompts interleaved at random, decodes and chunks in the same steps, on pages scattered
    over the arena; each one's last logits. In an arena of two groups, pages of the local one are
    forgotten as soon as `window` allows."""
    tables = [
        [[free.pop() for _ in range(-(-len(ids) // PAGE))] for ids in prompts]
        for free in (rng.sample(range(1, count), count - 1) for count in arena.counts)
    ]
    done = [0] * len(prompts)
    results: dict[int, Floats] = {}
    while len(results) < len(prompts):
        spans, owners = [], []
        for i, ids in enumerate(prompts):
            left = len(ids) - done[i]
            if left and rng.random() < 0.7:
                count = min(left, rng.choice([1, 1, 5, 60]))
                local = None
                if len(tables) == 2:
                    local = tables[LOCAL][i]
                    behind = max(0, done[i] - window + 1) // PAGE
                    local[:behind] = [SCRATCH_PAGE] * behind
                tokens, pages = ids[done[i] : done[i] + count], tables[GLOBAL][i]
                spans.append(Span(tokens, done[i], pages, count == left, local))
                owners.append(i)
                done[i] += count
        if spans:
            logits = iter(model.step(spans, arena))
            for i, span in zip(owners, spans, strict=True):
                if span.wants_logits:
                    results[i] = next(logits)
    return [results[i] for i in range(len(prompts))]
