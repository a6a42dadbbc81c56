"""The tensors of a Hugging Face folder, read one at a time as float32.

One at a time, so that loading takes little more memory than the model. The format is
https://huggingface.co/docs/safetensors: a length, a JSON header, numbers. (Its package reads
bfloat16 only into torch, which serving does without.) Called by `ref.py` and the backends.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from troupe.engine.config import ModelConfig
from troupe.engine.errors import CheckpointError
from troupe.engine.steps import Floats

_LONGEST_HEADER = 100_000_000  # bytes, as in the reference implementation
_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where one tensor lies."""

    path: Path
    dtype: np.dtype[Any]
    offset: int  # bytes
    shape: tuple[int, ...]
    bfloat16: bool


class Weights(Mapping[str, Floats]):
    """All tensors of the `*.safetensors` of a folder, by name, as float32."""

    def __init__(self, folder: Path) -> None:
        """Raises `CheckpointError` if there are none or they cannot be read."""
        self._folder = folder
        self._entries: dict[str, _Entry] = {}
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise CheckpointError(f"{folder} has no *.safetensors file")
        for path in paths:
            self._entries.update(_entries(path))

    def __getitem__(self, name: str) -> Floats:
        entry = self._entries[name]
        raw = np.memmap(entry.path, entry.dtype, "r", entry.offset, entry.shape)
        if entry.bfloat16:
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return raw.astype(np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def check(self, config: ModelConfig) -> None:
        """Compare names and shapes with what `config` asks for. Raises `CheckpointError`."""
        for name, shape in tensor_shapes(config).items():
            if name not in self._entries:
                if name.endswith("layer_scalar"):
                    continue  # absent stands for one
                raise CheckpointError(f"{self._folder}: there is no tensor {name}")
            actual = self._entries[name].shape
            if actual != shape:
                raise CheckpointError(
                    f"{self._folder}: {name} has shape {actual}, and config.json asks for {shape}"
                )


def _entries(path: Path) -> dict[str, _Entry]:
    """The tensors that a file lists. Raises `CheckpointError`."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError(f"its header is said to have {length} bytes")
            header = json.loads(file.read(length))
        size = path.stat().st_size
        return {
            name: _entry(path, 8 + length, size, said)
            for name, said in header.items()
            if name != "__metadata__"
        }
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def _entry(path: Path, base: int, size: int, said: Mapping[str, Any]) -> _Entry:
    kind, shape = said["dtype"], tuple(int(n) for n in said["shape"])
    begin, end = said["data_offsets"]
    if kind not in _DTYPES:
        raise ValueError(f"it holds {kind}; this engine reads {', '.join(_DTYPES)}")
    dtype = np.dtype(_DTYPES[kind])
    if end - begin != dtype.itemsize * math.prod(shape) or begin < 0 or base + end > size:
        raise ValueError("a tensor lies outside the file: it is cut short, or damaged")
    return _Entry(path, dtype, base + begin, shape, kind == "BF16")


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a model."""
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    for layer in range(config.num_hidden_layers):
        dim, inner = config.dim(layer), config.mlp_size(layer)
        queries = config.num_attention_heads * dim
        of_layer: dict[str, tuple[int, ...]] = {
            "self_attn.q_proj.weight": (queries, hidden),
            "self_attn.q_norm.weight": (dim,),
            "self_attn.o_proj.weight": (hidden, queries),
            "mlp.gate_proj.weight": (inner, hidden),
            "mlp.up_proj.weight": (inner, hidden),
            "mlp.down_proj.weight": (hidden, inner),
            "input_layernorm.weight": (hidden,),
            "post_attention_layernorm.weight": (hidden,),
            "pre_feedforward_layernorm.weight": (hidden,),
            "post_feedforward_layernorm.weight": (hidden,),
            "layer_scalar": (1,),
        }
        if layer < config.first_shared_layer:
            made = config.num_key_value_heads * dim
            of_layer |= {
                "self_attn.k_proj.weight": (made, hidden),
                "self_attn.v_proj.weight": (made, hidden),
                "self_attn.k_norm.weight": (dim,),
            }
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in of_layer.items()}
    return shapes
