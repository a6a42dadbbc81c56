"""Small model shapes that the engine's tests share."""

from __future__ import annotations

import torch

from troupe.engine.config import ModelConfig
from troupe.engine.ref import Model


def tiny_config(**changes: object) -> ModelConfig:
    """Twelve layers, six of them shared, a window of 8: every feature, in a few kilobytes."""
    values: dict[str, object] = {
        "vocab_size": 512,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 12,
        "num_attention_heads": 4,
        "head_dim": 8,
        "global_head_dim": 16,
        "sliding_window": 8,
        "max_position_embeddings": 256,
        "num_kv_shared_layers": 6,
    }
    return ModelConfig(**{**values, **changes})  # type: ignore[arg-type]


def random_model(config: ModelConfig, seed: int = 0) -> Model:
    """Weights away from their initial values, so that a skipped norm or scalar would show."""
    model = Model(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dim() == 2:
                tensor.normal_(0, 0.1, generator=generator)
            else:
                base = 0.4 if "q_norm" in name else 1.0
                tensor.copy_(base + 0.2 * torch.rand(tensor.shape, generator=generator))
    return model
