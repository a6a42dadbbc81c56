"""Packing: which tokens are supervised, and that sharing a row changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.train.conftest import tiny_config
from troupe.engine.ref import Model
from troupe.train.attention import fold_attention
from troupe.train.corpus import Dialogue, Message, Size, Split, dialogue
from troupe.train.data import Batch, Document, encode, encode_prompt, pack
from troupe.train.pretrain import batch_loss
from troupe.train.tokenizer import BOS, CHAR, END, SYSTEM, USER, TextTokenizer

TALK = Dialogue(
    "You are Mira.",
    (
        Message("char", "Mira", "Tea?"),
        Message("user", "Sam", "Yes."),
        Message("char", "Mira", "Good."),
    ),
)


def documents(tokenizer: TextTokenizer, count: int, characters: int = 500) -> list[Document]:
    size = Size(3, characters)
    return [encode(tokenizer, dialogue(1, i, Split.TRAIN, size), 0.0) for i in range(count)]


def test_the_format_is_the_model_s(tokenizer: TextTokenizer) -> None:
    e = tokenizer.encode
    document = encode(tokenizer, TALK, 0.25)
    greeting = [BOS, SYSTEM, *e("You are Mira."), END, CHAR, *e("Mira\n"), *e("Tea?"), END]
    asked = [*greeting, USER, *e("Sam\n"), *e("Yes."), END]
    assert list(document.ids) == [*asked, CHAR, *e("Mira\n"), *e("Good."), END]
    assert document.cuts == (len(greeting), len(document.ids))
    assert encode_prompt(tokenizer, TALK, 2, "Mira") == [*asked, CHAR, *e("Mira\n")]


def test_answers_and_their_end_are_supervised(tokenizer: TextTokenizer) -> None:
    document = encode(tokenizer, TALK, 0.25)
    full = [i for i, w in zip(document.ids, document.weights, strict=True) if w == 1.0]
    assert full == [*tokenizer.encode("Tea?"), END, *tokenizer.encode("Good."), END]
    assert set(document.weights) == {0.25, 1.0}


def test_a_fact_that_was_asked_for_has_its_own_weight(tokenizer: TextTokenizer) -> None:
    """Wherever the answer says it, whatever its capitals; and nowhere else."""
    said = "Black tea. Tea? *nods* Only black tea, Sam."
    talk = Dialogue("", (Message("char", "Mira", said, "card:drink", ("black tea",)),))
    document = encode(tokenizer, talk, 0.0, 3.0)
    text, expected = tokenizer.encode(said), encode(tokenizer, talk, 0.0)
    assert document.ids == expected.ids
    weights = document.weights[-len(text) - 1 :]
    facts = [i for i, weight in zip(text, weights, strict=False) if weight == 3.0]
    assert tokenizer.decode(facts).strip() == "Black tea black tea"
    assert weights[-1] == 1.0
    assert set(document.weights) == {0.0, 1.0, 3.0}
    assert set(expected.weights) == {0.0, 1.0}


def test_a_row_holds_whole_answers_and_loses_no_target(tokenizer: TextTokenizer) -> None:
    given = documents(tokenizer, 200)
    batch, position = pack(given.__getitem__, 0, rows=3, length=512)
    assert 3 <= position < 200
    assert (batch.documents >= 0).float().mean() > 0.7
    for row in range(3):
        for number in range(int(batch.documents[row].max()) + 1):
            inside = batch.documents[row] == number
            ids = batch.ids[row][inside].tolist()
            assert ids[0] == BOS
            assert ids[-1] == END
            assert batch.positions[row][inside].tolist() == list(range(len(ids)))
            assert batch.targets[row][inside].tolist()[:-1] == ids[1:]
            assert batch.weights[row][inside][-1] == 0  # the next row's start is no target
    assert (batch.weights[batch.documents < 0] == 0).all()


def test_a_document_that_fits_no_row_is_left_out() -> None:
    long = Document(tuple(range(100)), (1.0,) * 100, (100,))
    short = Document(tuple(range(20)), (1.0,) * 20, (20,))
    given = [long, short, short, long, short]
    batch, position = pack(given.__getitem__, 0, rows=1, length=50)
    assert position == 4
    assert (batch.documents >= 0).sum() == 40


@pytest.mark.parametrize("folded", [False, True])
def test_loss_does_not_depend_on_packing(
    tokenizer: TextTokenizer, tmp_path: Path, folded: bool
) -> None:
    config = tiny_config(tmp_path)
    model = Model(config.model.to_model())
    model.initialise(torch.Generator().manual_seed(3), std=0.2)
    if folded:
        fold_attention(model)
    batch, _ = pack(documents(tokenizer, 60, 200).__getitem__, 0, rows=2, length=512)
    names = ("ids", "targets", "weights", "positions", "documents")
    total = weight = 0.0
    count = 0
    with torch.no_grad():
        packed = float(batch_loss(model, batch))
        for row in range(2):
            for number in range(int(batch.documents[row].max()) + 1):
                inside = batch.documents[row] == number
                single = Batch(*(getattr(batch, name)[row][inside][None] for name in names))
                share = float(single.weights.sum())
                total += float(batch_loss(model, single)) * share
                weight += share
                count += 1
    assert count >= 3
    assert abs(total / weight - packed) < 1e-5


def test_folded_attention_has_the_reference_s_gradients(tmp_path: Path) -> None:
    config = tiny_config(tmp_path).model.to_model()
    ids = torch.randint(0, 1024, (2, 150), generator=torch.Generator().manual_seed(0))
    rows = (torch.arange(150) // 80)[None].expand(2, 150).contiguous()
    found = []
    for folded in (False, True):
        model = Model(config)
        model.initialise(torch.Generator().manual_seed(1), std=0.2)
        if folded:
            fold_attention(model)
        logits = model(ids, None, rows)
        logits.square().mean().backward()
        found.append((logits, [p.grad for p in model.parameters()]))
    (logits, gradients), (folded_logits, folded_gradients) = found
    assert (logits - folded_logits).abs().max() < 1e-4
    for ours, theirs in zip(folded_gradients, gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5)
