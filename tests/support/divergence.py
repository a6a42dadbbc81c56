"""How far the CPU operator's next-token distribution is from float32, over held-out talk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from troupe.engine.cuts import softmax
from troupe.engine.native.arena import NativeArena
from troupe.engine.native.model import NativeModel
from troupe.engine.ref import Model
from troupe.engine.steps import PAGE, Span
from troupe.train.corpus import Size, Split, dialogue
from troupe.train.data import encode_prompt
from troupe.train.tokenizer import TextTokenizer

JUDGED = 60  # tokens of each conversation: its last
CHUNK = 256


def divergence(folder: Path, seed: int, talks: int, size: Size, longest: int) -> list[float]:
    """Nats of Kullback-Leibler divergence at each judged token of `talks` held-out conversations,
    of which the last `longest` tokens are run."""
    tokenizer, reference = TextTokenizer.load(folder), Model.load(folder)
    pages = list(range(1, 2 + longest // PAGE))
    model = NativeModel.load(folder, len(pages) * PAGE)
    arena, found = NativeArena(model.config, 1 + len(pages)), []
    for index in range(talks):
        talk = dialogue(seed, index, Split.HELD_OUT, size)
        last = len(talk.messages) - 1
        ids = encode_prompt(tokenizer, talk, last, talk.messages[last].name)[-longest:]
        with torch.no_grad():
            expected = torch.log_softmax(reference(torch.tensor([ids]))[0], -1).numpy()
        known = len(ids) - JUDGED
        for start in range(0, known, CHUNK):
            chunk = ids[start : min(start + CHUNK, known)]
            model.step([Span(chunk, start, pages, False)], arena)
        for at in range(known, len(ids)):
            (logits,) = model.step([Span(ids[at : at + 1], at, pages, True)], arena)
            actual = np.log(softmax(logits))
            found.append(float((np.exp(expected[at]) * (expected[at] - actual)).sum()))
    return found
