"""The loop: learns, stops and resumes bit for bit, refuses what it cannot continue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.train.conftest import MakeConfig
from troupe.engine.ref import Model
from troupe.train import pretrain
from troupe.train.cli import train
from troupe.train.config import TrainConfig, load_config
from troupe.train.errors import ConfigError, ResumeError
from troupe.train.export import export

SHIPPED = Path(pretrain.__file__).parent / "troupe-small.toml"


def run(config: TrainConfig, *, resume: bool = False, until: int | None = None) -> list[float]:
    state = pretrain.resume(config) if resume else pretrain.start(config)
    losses: list[float] = []
    pretrain.run(state, lambda p: losses.append(p.loss), until)
    return losses


def weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = torch.load(config.run / pretrain.CHECKPOINT)["model"]
    return saved


@pytest.mark.parametrize("stop", [3, 5, 7])  # within a stage, between stages, in the second
def test_a_resumed_run_is_the_uninterrupted_one(make_config: MakeConfig, stop: int) -> None:
    whole, halved = make_config("whole"), make_config("halved")
    expected = run(whole)
    assert len(expected) == 8
    losses = run(halved, until=stop)
    losses += run(halved, resume=True)
    assert losses == expected
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(halved)[name]), name


def test_the_loss_falls(make_config: MakeConfig) -> None:
    stage = {"steps": 25, "rows": 4, "length": 256, "most_facts": 3, "characters": 500}
    config = make_config(stage=[stage], optimizer={"learning_rate": 1e-2})
    losses = run(config)
    assert sum(losses[-5:]) / 5 < sum(losses[:3]) / 3 - 0.4


def test_a_checkpoint_of_another_configuration_is_refused(make_config: MakeConfig) -> None:
    run(make_config(), until=1)
    other = make_config(optimizer={"learning_rate": 1e-4})
    with pytest.raises(ResumeError, match="another configuration"):
        pretrain.resume(other)
    pretrain.resume(make_config(checkpoint_minutes=99))  # changes no number
    with pytest.raises(ResumeError, match="does not exist"):
        pretrain.resume(make_config("elsewhere"))


def test_the_rate_warms_up_stays_and_falls_to_zero(make_config: MakeConfig) -> None:
    stage = {"steps": 100, "rows": 1, "length": 64, "most_facts": 3, "characters": 200}
    options = {"learning_rate": 1.0, "warmup_steps": 10, "decay_fraction": 0.2}
    config = make_config(stage=[stage], optimizer=options)
    rates = [pretrain.learning_rate(config, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:80] == [1.0] * 70
    assert rates[90] == pytest.approx(0.5)
    assert rates[100] == 0.0


def test_the_export_is_what_was_trained_in_transformers_too(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    from transformers import Gemma4UnifiedForCausalLM

    config, folder = make_config(), tmp_path / "model"
    run(config, until=2)
    export(config, folder)
    ours = Model.load(folder)
    theirs = Gemma4UnifiedForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(0, 1024, (2, 100), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (theirs(ids).logits - ours(ids)).abs().max() < 1e-4
    for name, tensor in weights(config).items():
        assert torch.equal(ours.state_dict()[name], tensor.to(torch.bfloat16).float()), name
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [1, 7]
    assert ours.config.eos_token_ids == (1, 7)


def test_export_before_training_says_so(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="train first"):
        export(make_config(), tmp_path / "model")


def test_an_unknown_key_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(SHIPPED.read_text() + "\n[wings]\nspan = 3\n")
    with pytest.raises(ConfigError, match="wings"):
        load_config(path)
    path.write_text(SHIPPED.read_text().replace("warmup_steps", "warmup_step"))
    with pytest.raises(ConfigError, match=r"optimizer\.warmup_step"):
        load_config(path)
    path.write_text(SHIPPED.read_text().replace("length = 1024", "length = 4096"))
    with pytest.raises(ConfigError, match="max_positions"):
        load_config(path)


def test_the_commands_train_resume_export_and_print(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(
        'run = "run"\nthreads = 1\nprecision = "fp32"\n'
        "[model]\nvocab_size = 1024\nhidden_size = 32\nintermediate_size = 48\nlayers = 6\n"
        "full_attention_every = 3\nshared_kv_layers = 3\nhead_dim = 8\nglobal_head_dim = 16\n"
        "[corpus]\ntokenizer_dialogues = 60\n"
        "[[stage]]\nsteps = 3\nrows = 1\nlength = 256\nmost_facts = 3\ncharacters = 500\n"
    )
    invoke = CliRunner().invoke
    assert invoke(train, ["pretrain", str(path), "--until", "1"]).exit_code == 0
    done = invoke(train, ["pretrain", str(path), "--resume"])
    assert done.exit_code == 0, done.output
    steps = [json.loads(line)["step"] for line in (tmp_path / "run/log.jsonl").open()]
    assert steps == [1, 2, 3]
    assert invoke(train, ["export", str(path), str(tmp_path / "model")]).exit_code == 0
    assert (tmp_path / "model/model.safetensors").exists()
    shown = invoke(train, ["corpus", str(path), "--count", "2"])
    assert [set(json.loads(line)) for line in shown.output.splitlines()] == [{"messages"}] * 2
    path.write_text("run = 3\n")
    refused = invoke(train, ["pretrain", str(path)])
    assert refused.exit_code == 1
    assert "stage" in refused.output
