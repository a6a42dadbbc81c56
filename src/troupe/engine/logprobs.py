"""How likely the model found a token: of the one drawn, and of the likeliest.

From the model's own logits, before bias, penalties, grammar and temperature, as vLLM's default and
OpenAI's. Pure; called by `sampler.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from troupe.engine.steps import Floats

MAX_LOGPROBS = 20  # of the likeliest tokens, as OpenAI's


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A drawn token's logarithm of probability, in nats, and the likeliest tokens with theirs,
    the likeliest first, as many as were asked for."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


def logprob_of(logits_V: Floats, token: int, count: int) -> TokenLogprob:
    """`token`'s, and those of the `count` likeliest (0 to `MAX_LOGPROBS`)."""
    best = logits_V.max()
    total = float(best) + float(np.log(np.exp(logits_V - best).sum(dtype=np.float64)))
    count = min(count, len(logits_V))
    top: tuple[tuple[int, float], ...] = ()
    if count:
        ids = np.argpartition(logits_V, -count)[-count:]
        ids = ids[np.lexsort((ids, -logits_V[ids]))]
        top = tuple((int(id_), float(logits_V[id_]) - total) for id_ in ids)
    return TokenLogprob(token, float(logits_V[token]) - total, top)
