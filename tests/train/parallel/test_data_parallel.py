"""Several processes compute what one does: losses, gradients, their norm; and go on from one
another's checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.finetune.conftest import MakeFinetune
from tests.train.parallel.worker import measured, trained
from troupe.train.finetune.config import FinetuneConfig
from troupe.train.finetune.config import Method as Kind
from troupe.train.parallel.ranks import Ranks

ROOT = Path(__file__).parents[3]
Launch = Callable[..., dict[str, Any]]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Run a job in several processes; gives what the first of them found."""

    def run(count: int, config: FinetuneConfig, kind: str, **job: Any) -> dict[str, Any]:
        out, path = tmp_path / "out.pt", tmp_path / "job.json"
        config_data = config.model_dump(mode="json")
        path.write_text(json.dumps({"config": config_data, "kind": kind, "out": str(out), **job}))
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
        command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
        done = subprocess.run(
            [*command, "-m", "tests.train.parallel.worker", str(path)],
            cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[:6000]
        found: dict[str, Any] = torch.load(out)
        return found

    return run


@pytest.mark.parametrize(("kind", "experts"), [("sft", False), ("kto", False), ("dpo", True)])
def test_a_step_is_the_same_in_one_process_and_in_three(
    make_finetune: MakeFinetune,
    launch: Launch,
    experts_base: Path,
    kind: Kind,
    experts: bool,
) -> None:
    """Five microbatches among three: one process has a round less to count."""
    batch = {"rows": 1, "length": 160, "accumulate": 5, "examples": 10}
    changes = {"base": experts_base} if experts else {}
    config = make_finetune(kind, batch=batch, **changes)
    expected = measured(config, kind, Ranks())
    found = launch(3, config, kind, do="measure")
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert found["figures"] == pytest.approx(expected["figures"], rel=1e-5)
    assert found["norm"] == pytest.approx(expected["norm"], rel=1e-5)
    gradients = expected["gradients"]
    assert isinstance(gradients, dict)
    assert found["gradients"].keys() == gradients.keys()
    for name, gradient in gradients.items():
        largest = float(gradient.abs().max())
        difference = float((found["gradients"][name] - gradient).abs().max())
        assert difference <= 1e-6 + 1e-5 * largest, name


def test_a_run_moves_between_numbers_of_processes(
    make_finetune: MakeFinetune, launch: Launch
) -> None:
    config = make_finetune("dpo", epochs=3)
    first = launch(2, config, "dpo", do="train", until=2)
    alone = trained(config, "dpo", 4, Ranks())
    again = launch(2, config, "dpo", do="train", until=None)
    for earlier, later in ((first, alone), (alone, again)):
        after, before = earlier["after"], later["before"]
        assert isinstance(after, dict)
        assert isinstance(before, dict)
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], before[name]) for name in after)
    uninterrupted = trained(make_finetune("dpo", "other", epochs=3), "dpo", None, Ranks())
    losses = [*first["losses"], *alone["losses"], *again["losses"]]  # type: ignore[misc]
    assert losses == pytest.approx(uninterrupted["losses"], rel=1e-3)


def test_the_command_runs_under_torchrun(make_finetune: MakeFinetune, tmp_path: Path) -> None:
    config = make_finetune("sft")
    path = tmp_path / "run.toml"
    path.write_text(
        f'base = "{config.base}"\ndata = ["{config.data[0]}"]\nheld_out = ["{config.data[0]}"]\n'
        'run = "run"\nthreads = 1\n'
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "troupe"]
    done = subprocess.run(
        [*command, "train", "sft", str(path)],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:6000]
    assert done.stdout.count("wrote ") == 1
    assert done.stdout.count("held out: loss") == 1
    assert (tmp_path / "run/model/model.safetensors").exists()
