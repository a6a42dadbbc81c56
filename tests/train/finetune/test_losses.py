"""Losses are those of the papers and of TRL, and no way of batching changes them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.train.finetune.conftest import MakeFinetune
from troupe.engine.ref import Model
from troupe.train.finetune import losses
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.finetune.config import Method as Kind
from troupe.train.finetune.data import to_batch
from troupe.train.finetune.loop import State, gradients, start
from troupe.train.finetune.plan import Microbatch


def one_step(config: FinetuneConfig, kind: Kind) -> tuple[State, float, dict[str, torch.Tensor]]:
    """The loss and gradients of all examples as one update, from weights off the reference."""
    state = start(config, kind)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.mul_(1.02)
    step = tuple(micro for step in state.plan for micro in step)
    loss, _ = gradients(state, step)
    found = {n: p.grad for n, p in state.model.named_parameters() if p.grad is not None}
    return state, loss, found


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto"])
def test_neither_microbatches_nor_padding_nor_packing_change_a_step(
    make_finetune: MakeFinetune, kind: Kind
) -> None:
    shapes = [
        {"rows": 64, "length": 512, "examples": 64, "accumulate": 1},
        {"rows": 1, "length": 160, "examples": 64, "accumulate": 7},
        {"rows": 5, "length": 200, "examples": 64, "accumulate": 2},
    ]
    runs = [
        one_step(make_finetune(kind, f"run{i}", batch=shape), kind)
        for i, shape in enumerate(shapes)
    ]
    _, loss, expected = runs[0]
    for _, other, found in runs[1:]:
        assert other == pytest.approx(loss, abs=1e-6)
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_no_document_sees_another(make_finetune: MakeFinetune) -> None:
    """Log-probabilities of documents in one row are those of each alone."""
    state = start(make_finetune("dpo"), "dpo")
    numbers = tuple(range(6))
    together, order = to_batch(state.data.documents, Microbatch((numbers,)))
    assert order == list(numbers)
    packed = losses.answer_logps(state.model, together, 6)
    alone = [
        losses.answer_logps(state.model, to_batch(state.data.documents, Microbatch(((n,),)))[0], 1)
        for n in numbers
    ]
    torch.testing.assert_close(packed, torch.cat(alone))


def test_dpo_begins_at_ln_2_and_kto_at_a_half(make_finetune: MakeFinetune) -> None:
    for kind, expected in (("dpo", math.log(2)), ("kto", 0.5)):
        state = start(make_finetune(kind, kind), kind)  # type: ignore[arg-type]
        loss, _ = gradients(state, state.plan[0])
        assert loss == pytest.approx(expected, abs=1e-5)


def test_the_loss_is_a_mean_over_what_is_learned(make_finetune: MakeFinetune, base: Path) -> None:
    """Against a plain sum over single conversations, with transformers-like shifting."""
    state = start(make_finetune("sft", batch={"rows": 3, "length": 128, "accumulate": 100}), "sft")
    loss, _ = gradients(state, state.plan[0])
    model, total, count = Model.load(base), 0.0, 0
    for document in state.data.documents:
        ids = torch.tensor([document.ids])
        logps = model(ids).log_softmax(-1)[0]
        for at in range(1, len(document.ids)):
            if document.weights[at]:
                total -= logps[at - 1, document.ids[at]].item()
                count += 1
    assert loss == pytest.approx(total / count, rel=1e-5)
