"""The tensors of a Hugging Face folder, read one at a time as float32.

One at a time, so that loading takes little more memory than the model. Called by `ref.py` and
`model.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from troupe.engine.config import ModelConfig
from troupe.engine.errors import CheckpointError


class Weights(Mapping[str, Tensor]):
    """All tensors of the `*.safetensors` of a folder, by name."""

    def __init__(self, folder: Path) -> None:
        """Raises `CheckpointError` if there are none or they cannot be read."""
        self._folder = folder
        self._files: dict[str, Any] = {}  # tensor -> the open file that holds it
        paths = sorted(folder.glob("*.safetensors"))
        if not paths:
            raise CheckpointError(f"{folder} has no *.safetensors file")
        for path in paths:
            try:
                opened = safe_open(path, framework="pt")
                names: list[str] = opened.keys()  # type: ignore[no-untyped-call]
                self._files.update(dict.fromkeys(names, opened))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path} cannot be read: {error}") from error

    def __getitem__(self, name: str) -> Tensor:
        return self._files[name].get_tensor(name).float()  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def check(self, config: ModelConfig) -> None:
        """Compare names and shapes with what `config` asks for. Raises `CheckpointError`."""
        for name, shape in tensor_shapes(config).items():
            if name not in self._files:
                if name.endswith("layer_scalar"):
                    continue  # absent stands for one
                raise CheckpointError(f"{self._folder}: there is no tensor {name}")
            actual = tuple(self._files[name].get_slice(name).get_shape())
            if actual != shape:
                raise CheckpointError(
                    f"{self._folder}: {name} has shape {actual}, and config.json asks for {shape}"
                )


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
