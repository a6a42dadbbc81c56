"""The typed configuration of a training run, read from TOML. An unknown key is an error."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from troupe.engine.config import FULL, SLIDING, ModelConfig
from troupe.train.errors import ConfigError
from troupe.train.tokenizer import BOS, END, EOS, PAD


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Section):
    """`[model]`: the model's shape, in the engine's terms."""

    vocab_size: int = Field(default=4096, ge=512)
    hidden_size: int = Field(default=256, ge=8)
    intermediate_size: int = Field(default=512, ge=8)
    layers: int = Field(default=8, ge=1, le=256)
    full_attention_every: int = Field(default=4, ge=1)
    shared_kv_layers: int = Field(default=4, ge=0)
    heads: int = Field(default=4, ge=1)
    head_dim: int = Field(default=64, ge=2)
    global_head_dim: int = Field(default=128, ge=2)
    sliding_window: int = Field(default=512, ge=1)
    max_positions: int = Field(default=2048, ge=16)

    def to_model(self) -> ModelConfig:
        """The engine's configuration of this shape."""
        every = self.full_attention_every
        return ModelConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            head_dim=self.head_dim,
            global_head_dim=self.global_head_dim,
            sliding_window=self.sliding_window,
            max_position_embeddings=self.max_positions,
            num_kv_shared_layers=self.shared_kv_layers,
            layer_types=tuple(
                FULL if (i + 1) % every == 0 else SLIDING for i in range(self.layers)
            ),
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_ids=(EOS, END),
        )


class Stage(_Section):
    """`[[stage]]`: a stretch of training on conversations of one size."""

    steps: int = Field(ge=1)
    rows: int = Field(ge=1, le=4096)
    length: int = Field(ge=32, le=16384, description="tokens a row")
    most_facts: int = Field(ge=3, le=40, description="facts on a card, at most")
    characters: int = Field(ge=100, description="characters of a conversation, about")


class Corpus(_Section):
    """`[corpus]`: what the model reads."""

    seed: int = 0
    tokenizer_dialogues: int = Field(default=8000, ge=10)
    context_weight: float = Field(default=0.0, ge=0, le=1, description="loss weight of cards and "
                                  "of what users say; answers weigh 1")  # fmt: skip
    fact_weight: float = Field(default=1.0, gt=0, le=16, description="loss weight of the words "
                               "of an answer that give the fact asked for")  # fmt: skip


class Optimizer(_Section):
    """`[optimizer]`: AdamW with warm-up, a flat stretch, and a linear decay to zero."""

    learning_rate: float = Field(default=2e-3, gt=0)
    warmup_steps: int = Field(default=100, ge=0)
    decay_fraction: float = Field(default=0.3, ge=0, le=1)
    weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.97)
    clip: float = Field(default=1.0, gt=0, description="largest gradient norm")


class TrainConfig(_Section):
    """A whole run."""

    seed: int = 0
    run: Path = Field(description="folder of checkpoints and the log; relative to the file")
    threads: int = Field(default=0, ge=0, description="0: torch's own choice")
    precision: Literal["bf16", "fp32"] = "bf16"
    compile: bool = Field(default=False, description="compile the model first: minutes to start, "
                          "then about a quarter faster")  # fmt: skip
    checkpoint_minutes: float = Field(default=4, gt=0)
    log_every: int = Field(default=10, ge=1)
    model: Shape = Shape()
    corpus: Corpus = Corpus()
    optimizer: Optimizer = Optimizer()
    stage: tuple[Stage, ...] = Field(min_length=1)

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stage)

    def stage_at(self, step: int) -> int:
        """Index of the stage that step number `step` (from 0) belongs to."""
        for index, stage in enumerate(self.stage):
            if step < stage.steps:
                return index
            step -= stage.steps
        raise IndexError(step)


def load_config(path: Path) -> TrainConfig:
    """Raises `ConfigError` that names the file and each wrong key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        config = TrainConfig.model_validate(data)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {wrong}") from error
    longest = max(stage.length for stage in config.stage)
    if longest > config.model.max_positions:
        raise ConfigError(f"{path}: a stage of {longest} tokens, but model.max_positions is "
                          f"{config.model.max_positions}")  # fmt: skip
    run = config.run if config.run.is_absolute() else path.parent / config.run
    return config.model_copy(update={"run": run})
