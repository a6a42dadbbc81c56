"""Small model shapes that the engine's tests share."""

from __future__ import annotations

from troupe.engine.config import ModelConfig


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
