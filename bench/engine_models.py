"""The checkpoints that the engine and its peers serve, made once and kept in a cache folder.

`small` is the shipped model with room for longer conversations than it was trained on: the same
weights, only `max_position_embeddings` is raised, for speed does not depend on what is said. `100m`
has random weights, drawn from a seed, in a shape of the same recipe: one key-value head in every
layer, five layers of six local, the later half of the layers sharing keys and values. Both use the
shipped tokenizer. llama.cpp gets them in its own format with its own eight-bit weights (Q8_0).
Called by `engine_http.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import torch
from safetensors.torch import save_file

from troupe.engine.config import ModelConfig
from troupe.engine.ref import Model

SHIPPED = Path(__file__).parent.parent / "src/troupe/models/troupe-small"
POSITIONS = 8192
SEED = 100_000_000
KEPT = ("generation_config.json", "tokenizer.json")


def checkpoint(name: str, cache: Path) -> Path:
    """The folder of `small` or `100m` under `cache`, made if it is not there yet."""
    folder = cache / f"{name}-{POSITIONS}"
    if not (folder / "config.json").exists():
        unfinished = cache / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        {"small": _small, "100m": _hundred_million}[name](unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    return folder


def gguf(folder: Path, python: str, source: Path, programs: Path) -> Path:
    """The checkpoint in llama.cpp's format, Q8_0. `python` has the packages that the converter of
    the source tree `source` asks for; `programs` is the folder of `llama-quantize`."""
    done = folder.with_suffix(".q8_0.gguf")
    if done.exists():
        return done
    full, unfinished = folder.with_suffix(".f16.gguf"), folder.with_suffix(".unfinished.gguf")
    convert = [python, str(source / "convert_hf_to_gguf.py"), str(folder)]
    _run([*convert, "--outtype", "f16", "--outfile", str(full)], source / "gguf-py")
    _run([str(programs / "llama-quantize"), str(full), str(unfinished), "Q8_0"], source)
    unfinished.rename(done)
    full.unlink()
    return done


def _run(command: list[str], search: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(search)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


def _small(folder: Path) -> None:
    config = json.loads((SHIPPED / "config.json").read_text(encoding="utf-8"))
    _write_config(folder, {**config, "max_position_embeddings": POSITIONS})
    shutil.copy(SHIPPED / "model.safetensors", folder)


def _hundred_million(folder: Path) -> None:
    """Weights of a width that keeps activations near one, so that eight bits suit them."""
    config = ModelConfig(
        vocab_size=4096,
        hidden_size=768,
        intermediate_size=2880,
        num_hidden_layers=12,
        num_attention_heads=12,
        head_dim=64,
        global_head_dim=128,
        sliding_window=1024,
        max_position_embeddings=POSITIONS,
        num_kv_shared_layers=6,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_ids=(1, 7),
    )
    model = Model(config)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dim() == 2:
                tensor.normal_(0, tensor.shape[1] ** -0.5, generator=generator)
            elif "q_norm" in name:
                tensor.fill_(0.2)  # attention is not scaled: keep it from being all on one token
    half = {n: t.to(torch.bfloat16).contiguous() for n, t in model.state_dict().items()}
    save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    _write_config(folder, {**config.to_dict(), "dtype": "bfloat16"})


def _write_config(folder: Path, config: dict[str, object]) -> None:
    for name in KEPT:
        shutil.copy(SHIPPED / name, folder)
    tokenizer = json.loads((SHIPPED / "tokenizer_config.json").read_text(encoding="utf-8"))
    text = json.dumps({**tokenizer, "model_max_length": POSITIONS}, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
    config = {**config, "moe_intermediate_size": None}  # llama.cpp's converter asks for it
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
