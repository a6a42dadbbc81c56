"""The tensors of a Hugging Face folder, read one at a time as float32.

One at a time, so that loading takes little more memory than the model; a folder may hold them in
one file or in many with an index. The format is
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
_INDEX = "model.safetensors.index.json"
# What stands before a text model's names where it is part of one that also sees or hears.
_PREFIXES = ("model.language_model.", "language_model.model.")
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
    """All tensors of the `*.safetensors` of a folder, by their name in a text model, as float32."""

    def __init__(self, folder: Path) -> None:
        """Raises `CheckpointError` if there are none or they cannot be read."""
        self._folder = folder
        self._entries: dict[str, _Entry] = {}
        self.files = weight_files(folder)
        for path in self.files:
            for name, entry in _entries(path).items():
                self._entries[_plain_name(name)] = entry

    def __getitem__(self, name: str) -> Floats:
        return _floats(self._entries[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Size of the files."""
        return sum(path.stat().st_size for path in self.files)

    def rows(self, name: str, first: int, last: int) -> Floats:
        """Rows `first` to `last - 1` of a matrix."""
        return _floats(self._entries[name], first, last)

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


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: those that its index names, else the one that is
    called `model.safetensors`, else all. Raises `CheckpointError`."""
    index = folder / _INDEX
    if index.exists():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{index} cannot be read as an index: {error!r}") from error
        if not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise CheckpointError(f"{index} names a file outside its folder")
        missing = sorted(name for name in names if not (folder / name).is_file())
        if missing or not names:
            raise CheckpointError(
                f"{folder} lacks {len(missing)} of the {len(names)} files of weights that {_INDEX} "
                f"names: {', '.join(missing[:3])}"
            )
        return sorted(folder / name for name in names)
    whole = folder / "model.safetensors"
    paths = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
    if not paths:
        raise CheckpointError(f"{folder} has no *.safetensors file")
    return paths


def _plain_name(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return "model." + name.removeprefix(prefix)
    return name.removeprefix("language_model.")


def _floats(entry: _Entry, first: int = 0, last: int | None = None) -> Floats:
    raw = np.memmap(entry.path, entry.dtype, "r", entry.offset, entry.shape)[first:last]
    if entry.bfloat16:
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)


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
        of_layer = _layer_shapes(config, layer)
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in of_layer.items()}
    return shapes


def parameters(config: ModelConfig) -> int:
    """How many numbers a model has."""
    return sum(math.prod(shape) for shape in tensor_shapes(config).values())


def _layer_shapes(config: ModelConfig, layer: int) -> dict[str, tuple[int, ...]]:
    hidden, dim, inner = config.hidden_size, config.dim(layer), config.mlp_size(layer)
    queries, made = config.num_attention_heads * dim, config.num_key_value_heads * dim
    makes_kv = layer < config.first_shared_layer
    matrices = {"q": (queries, hidden)}
    if makes_kv:
        matrices |= {"k": (made, hidden), "v": (made, hidden)}
    shapes: dict[str, tuple[int, ...]] = {
        "self_attn.o_proj.weight": (hidden, queries),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    for letter, shape in matrices.items():
        shapes[f"self_attn.{letter}_proj.weight"] = shape
        if config.qkv_bias:
            shapes[f"self_attn.{letter}_proj.bias"] = shape[:1]
        if config.qk_norm and letter != "v":
            shapes[f"self_attn.{letter}_norm.weight"] = (dim,)
    if config.out_bias:
        shapes["self_attn.o_proj.bias"] = (hidden,)
    if config.mlp_bias:
        sizes = {"gate": inner, "up": inner, "down": hidden}
        shapes |= {f"mlp.{name}_proj.bias": (size,) for name, size in sizes.items()}
    if config.sandwich_norms:
        shapes["pre_feedforward_layernorm.weight"] = (hidden,)
        shapes["post_feedforward_layernorm.weight"] = (hidden,)
    if config.layer_scalar:
        shapes["layer_scalar"] = (1,)
    return shapes
