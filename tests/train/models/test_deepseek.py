"""The same logits and gradients as transformers, and folders that others read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.train.models.theirs import write_theirs
from troupe.engine.errors import CheckpointError
from troupe.train.models.deepseek import DeepSeek
from troupe.train.models.folders import hugging_face_tensors, load_model

SHAPES: dict[str, dict[str, Any]] = {
    "as published": {},
    "queries without a latent": {"q_lora_rank": None},
    "two shared experts, weights not normed": {"n_shared_experts": 2, "norm_topk_prob": False},
    "halves rotated": {"rope_interleave": False},
    "a stretched rope": {
        "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "mscale": 1.0,
            "mscale_all_dim": 1.0, "original_max_position_embeddings": 16, "beta_fast": 32,
            "beta_slow": 1,
        }
    },
}  # fmt: skip


def gradients(model: torch.nn.Module, loss: Tensor) -> None:
    model.zero_grad()
    loss.backward()


@pytest.mark.parametrize("changes", SHAPES.values(), ids=SHAPES.keys())
def test_logits_and_gradients_are_those_of_transformers(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    theirs = write_theirs(tmp_path, **changes)
    ours = load_model(tmp_path)
    ids = torch.randint(0, 96, (2, 24), generator=torch.Generator().manual_seed(1))
    expected, found = theirs(ids).logits, ours(ids)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2)) / 50
    gradients(theirs, (expected * weights).sum())
    gradients(ours, (found * weights).sum())
    mine = {name: p.grad for name, p in ours.named_parameters()}
    for name, parameter in theirs.named_parameters():
        assert parameter.grad is not None
        own = re.sub(r"(\.mlp\.experts\.\w+)_proj$", r"\1", name)
        torch.testing.assert_close(mine[own], parameter.grad, rtol=1e-4, atol=1e-5)


def test_documents_of_a_row_do_not_see_one_another(tmp_path: Path) -> None:
    write_theirs(tmp_path)
    model = load_model(tmp_path)
    ids = torch.randint(0, 96, (1, 20), generator=torch.Generator().manual_seed(1))
    documents = torch.tensor([[0] * 8 + [1] * 12])
    positions = torch.tensor([[*range(8), *range(12)]])
    packed = model(ids, positions, documents)
    torch.testing.assert_close(packed[:, :8], model(ids[:, :8]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(packed[:, 8:], model(ids[:, 8:]), rtol=1e-5, atol=1e-5)


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    write_theirs(tmp_path)
    written = hugging_face_tensors(load_model(tmp_path).state_dict())
    source = load_file(tmp_path / "model.safetensors")
    assert written.keys() == source.keys()
    for name, tensor in source.items():
        assert torch.equal(written[name], tensor), name


@pytest.mark.parametrize("fault", ["missing", "extra", "misshapen"])
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, fault: str) -> None:
    write_theirs(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors, name = load_file(path), "model.layers.1.mlp.experts.3.up_proj.weight"
    if fault == "missing":
        del tensors[name]
    elif fault == "extra":
        name = "model.layers.1.mlp.experts.8.up_proj.weight"
        tensors[name] = torch.zeros(2)
    else:
        tensors[name] = tensors[name][:-1].clone()
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=name):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("hidden_act", "gelu"), ("n_group", 3), ("num_experts_per_tok", 5), ("kv_lora_rank", "x"),
     ("scoring_func", "softmax")],
)  # fmt: skip
def test_a_config_that_is_not_computed_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    write_theirs(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CheckpointError, match=key):
        load_model(tmp_path)


def test_balancing_raises_the_bias_of_experts_that_are_given_little(tmp_path: Path) -> None:
    write_theirs(tmp_path)
    model = load_model(tmp_path)
    assert isinstance(model, DeepSeek)
    model.train()
    ids = torch.randint(0, 96, (8, 32), generator=torch.Generator().manual_seed(1))

    def spread() -> float:
        """The most that an expert is given, over its share."""
        model(ids)
        worst = max(float(r.load.max() / r.load.mean()) for r in model.routers())
        for router in model.routers():
            before, load = router.e_score_correction_bias.clone(), router.load.clone()
            router.balance(0.02)
            moved = router.e_score_correction_bias - before
            assert torch.equal(moved.sign(), (load.mean() - load).sign())
            assert not router.load.any()
        return worst

    first = spread()
    for _ in range(60):
        last = spread()
    assert last < 1 + (first - 1) / 2
    model.eval()
    model(ids)
    assert not any(router.load.any() for router in model.routers())
