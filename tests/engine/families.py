"""Tiny models of every family as transformers writes them: its configs, its random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from troupe.engine.config import ModelConfig
from troupe.engine.ref import Model

TINY: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "rope_theta": 1000.0, "factor": 4.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0,
        "original_max_position_embeddings": 64}  # fmt: skip
LINEAR = {"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.0}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1000.0, "factor": 2.0}
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]

# Name of a test -> family, and what it changes.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, two key-value heads": ("llama", {}),
    "llama, one key-value head, tied": (
        "llama", {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "llama, all heads, biases": (
        "llama", {"num_key_value_heads": 4, "attention_bias": True, "mlp_bias": True}),
    "llama, llama3 rope": ("llama", {"rope_parameters": LLAMA3, "head_dim": 16}),
    "llama, linear rope": ("llama", {"rope_parameters": LINEAR}),
    "llama, dynamic rope": ("llama", {"rope_parameters": DYNAMIC}),
    "llama, yarn": ("llama", {"rope_parameters": YARN}),
    "mistral, no window": ("mistral", {"sliding_window": None}),
    "mistral, a window in every layer": ("mistral", {"sliding_window": 8, "head_dim": 16}),
    "mistral, all heads, tied": (
        "mistral", {"num_key_value_heads": 4, "tie_word_embeddings": True, "sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen2, a window from the second layer on, tied": (
        "qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1,
                  "tie_word_embeddings": True, "num_key_value_heads": 1}),
    "qwen2, yarn": ("qwen2", {"rope_parameters": YARN, "num_key_value_heads": 4}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3, one key-value head, biases, tied": (
        "qwen3", {"head_dim": 8, "num_key_value_heads": 1, "attention_bias": True,
                  "tie_word_embeddings": True}),
    "qwen3, layer types": (
        "qwen3", {"head_dim": 16, "num_key_value_heads": 4, "use_sliding_window": True,
                  "sliding_window": 8, "layer_types": MIXED}),
    "gemma3": ("gemma3_text", {"head_dim": 16, "sliding_window": 8, "num_hidden_layers": 7,
                               "tie_word_embeddings": True, "query_pre_attn_scalar": 24}),
    "gemma3, one key-value head, biases, capped, untied": (
        "gemma3_text", {"head_dim": 8, "sliding_window": 8, "num_key_value_heads": 1,
                        "attention_bias": True, "final_logit_softcapping": 5.0,
                        "layer_types": MIXED}),
    "gemma3, all heads, linear rope in full layers": (
        "gemma3_text", {"head_dim": 8, "sliding_window": 8, "num_key_value_heads": 4,
                        "layer_types": MIXED, "tie_word_embeddings": True,
                        "rope_parameters": {
                            "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
                            "full_attention": {**LINEAR, "factor": 8.0}}}),
}  # fmt: skip


def config_of(family: str, changes: dict[str, Any]) -> ModelConfig:
    """The engine's shape of a tiny model."""
    model_type = {"model_type": family}
    return ModelConfig.from_dict({**model_type, **TINY, **changes})


def reference_of(config: ModelConfig) -> Model:
    """The reference model with weights like a trained model's."""
    model = Model(config).eval()
    randomise(model)
    return model


def write_model(folder: Path, family: str, changes: dict[str, Any], **saving: Any) -> Any:
    """A model of transformers in float32, and its folder as transformers saves it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**TINY, **changes})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomise(model)
    model.save_pretrained(folder, **saving)
    return model


@torch.no_grad()
def randomise(model: torch.nn.Module) -> None:
    """Weights like a trained model's: no flat logits, every norm and bias away from its start."""
    generator = torch.Generator().manual_seed(0)
    for tensor in model.parameters():
        if tensor.dim() == 2:
            tensor.normal_(0, 0.15, generator=generator)
        else:
            tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator) - 0.1)
