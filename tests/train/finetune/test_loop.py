"""Runs learn, stop and resume bit for bit, and refuse what they cannot continue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from click.testing import CliRunner

from tests.train.finetune.conftest import LINES, MakeFinetune, pair_lines, write_lines
from troupe.engine.ref import Model
from troupe.train.cli import train
from troupe.train.errors import DataError, ResumeError, TrainError
from troupe.train.finetune import loop
from troupe.train.finetune.config import FinetuneConfig, Method, load_finetune_config
from troupe.train.finetune.export import export_run
from troupe.train.models.folders import load_model

KINDS: tuple[Method, ...] = ("sft", "dpo", "kto")


def run(
    config: FinetuneConfig, kind: Method, *, resume: bool = False, until: int | None = None
) -> list[float]:
    state = loop.resume(config, kind) if resume else loop.start(config, kind)
    losses: list[float] = []
    loop.run(state, lambda p: losses.append(p.loss), until)
    return losses


def weights(config: FinetuneConfig) -> dict[str, torch.Tensor]:
    """What the run's checkpoint holds."""
    model = load_model(config.base)
    state = {"model": model.state_dict()}
    dcp.load(state, checkpoint_id=config.run / loop.CHECKPOINT, no_dist=True)
    return state["model"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_the_uninterrupted_one(make_finetune: MakeFinetune, kind: Method) -> None:
    whole, halved = make_finetune(kind, "whole", epochs=2), make_finetune(kind, "halved", epochs=2)
    expected = run(whole, kind)
    assert len(expected) >= 4
    losses = run(halved, kind, until=3)
    losses += run(halved, kind, resume=True)
    assert losses == expected
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(halved)[name]), name


def test_imitation_lowers_the_loss(make_finetune: MakeFinetune) -> None:
    losses = run(make_finetune("sft", epochs=8), "sft")
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize(("kind", "loss"), [("dpo", "dpo"), ("dpo", "ipo"), ("kto", "dpo")])
def test_preferences_are_learned_for_examples_never_seen(
    make_finetune: MakeFinetune, tmp_path: Path, kind: Method, loss: str
) -> None:
    held_out = write_lines(tmp_path / "held", LINES[kind](40)[24:])
    config = make_finetune(kind, count=24, epochs=4, held_out=[held_out], preference={"loss": loss})
    state = loop.start(config, kind)
    loop.run(state)
    from troupe.train.finetune.score import score

    rows = {name: (before, after) for name, before, after in score(state)}
    assert rows["accuracy"][1] == 1.0
    assert rows["loss"][1] < rows["loss"][0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_experts_is_trained_balanced_and_written(
    make_finetune: MakeFinetune, experts_base: Path, kind: Method
) -> None:
    whole = make_finetune(kind, "whole", base=experts_base, epochs=3)
    halved = make_finetune(kind, "halved", base=experts_base, epochs=3)
    losses = run(whole, kind)
    assert losses[-1] < losses[0]
    run(halved, kind, until=2)
    assert run(halved, kind, resume=True) == losses[2:]
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(halved)[name]), name
    folder = export_run(loop.resume(whole, kind))
    trained = load_model(folder)
    biases = [router.e_score_correction_bias for router in trained.routers()]
    before = [router.e_score_correction_bias for router in load_model(experts_base).routers()]
    assert all(not torch.equal(a, b) for a, b in zip(biases, before, strict=True))
    for router, name in zip(
        biases, [n for n in weights(whole) if n.endswith("_bias")], strict=True
    ):
        assert torch.equal(router, weights(whole)[name])  # to the bit: moves are small


def test_a_run_that_cannot_go_on_says_why(make_finetune: MakeFinetune, tmp_path: Path) -> None:
    config = make_finetune("dpo")
    run(config, "dpo", until=1)
    with pytest.raises(ResumeError, match="another configuration"):
        loop.resume(make_finetune("dpo", seed=5), "dpo")
    with pytest.raises(ResumeError, match="another configuration"):
        loop.resume(make_finetune("sft"), "sft")
    write_lines(config.data[0], pair_lines(11))
    with pytest.raises(ResumeError, match="other data"):
        loop.resume(config, "dpo")
    with pytest.raises(ResumeError, match="does not exist"):
        loop.resume(make_finetune("dpo", "elsewhere"), "dpo")


def test_reference_log_probabilities_are_computed_once(
    make_finetune: MakeFinetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make_finetune("dpo"), "dpo", until=1)

    def never(*_: object) -> torch.Tensor:
        raise AssertionError("computed again")

    monkeypatch.setattr(loop, "document_logps", never)
    run(make_finetune("dpo"), "dpo", resume=True)


def test_examples_that_fit_no_row_are_left_out_or_refused(make_finetune: MakeFinetune) -> None:
    batch: dict[str, Any] = {"rows": 2, "length": 24}
    with pytest.raises(DataError, match="no example to learn from \\(12 were too long\\)"):
        loop.start(make_finetune("dpo", batch=batch), "dpo")
    with pytest.raises(DataError, match=r"example 1: [0-9]+ tokens, and a row has 24"):
        loop.start(make_finetune("dpo", batch={**batch, "too_long": "error"}), "dpo")
    with pytest.raises(TrainError, match="the model has 512 positions"):
        loop.start(make_finetune("dpo", batch={"length": 600}), "dpo")


def test_a_long_conversation_is_cut_behind_an_answer(make_finetune: MakeFinetune) -> None:
    data = loop.read(config := make_finetune("sft"), "sft", config.data)
    longest = max(data.lengths)
    config = make_finetune("sft", batch={"rows": 1, "length": longest - 1})
    cut = loop.read(config, "sft", config.data)
    assert len(cut.examples) == len(data.examples)
    assert all(document.weights[-1] == 1.0 for document in cut.documents)
    assert max(cut.lengths) < longest


def config_file(folder: Path, config: FinetuneConfig, kind: Method, more: str = "") -> Path:
    held_out = write_lines(folder / "held.jsonl", LINES[kind](4))
    path = folder / "run.toml"
    path.write_text(
        f'base = "{config.base}"\ndata = ["{config.data[0].name}"]\nrun = "run"\nthreads = 1\n'
        f'held_out = ["{held_out.name}"]\nprecision = "fp32"\n{more}[batch]\nrows = 2\n'
        "length = 128\nexamples = 6\n"
    )
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_plan_train_and_write_a_model(
    make_finetune: MakeFinetune, tmp_path: Path, kind: Method
) -> None:
    path = config_file(tmp_path, make_finetune(kind), kind)
    call = CliRunner().invoke
    shown = call(train, [kind, str(path), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "12, and 0 too long" in shown.output
    assert not (tmp_path / "run").exists()
    stopped = call(train, [kind, str(path), "--until", "1"])
    assert stopped.exit_code == 0, stopped.output
    assert not (tmp_path / "run" / "model").exists()
    done = call(train, [kind, str(path), "--resume"])
    assert done.exit_code == 0, done.output
    assert "held out: loss" in done.output
    trained = weights(load_finetune_config(path))
    exported = Model.load(tmp_path / "run" / "model").state_dict()
    for name, tensor in trained.items():
        assert torch.equal(exported[name], tensor.bfloat16().float()), name
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, len(lines) + 1))


def test_an_unknown_key_is_an_error_that_names_it(
    make_finetune: MakeFinetune, tmp_path: Path
) -> None:
    path = config_file(tmp_path, make_finetune("sft"), "sft", "epoch = 3\n")
    failed = CliRunner().invoke(train, ["sft", str(path)])
    assert failed.exit_code == 1
    assert "epoch: Extra inputs are not permitted" in failed.output
