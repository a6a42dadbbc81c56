"""The typed configuration of fine-tuning, read from TOML. An unknown key is an error."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from troupe.train.errors import ConfigError

Method = Literal["sft", "dpo", "kto"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Batching(_Section):
    """`[batch]`: what goes through the model at a time, and what makes an update."""

    rows: int = Field(default=8, ge=1, le=4096, description="rows of a microbatch")
    length: int = Field(default=512, ge=16, le=1_048_576, description="tokens a row")
    accumulate: int = Field(default=1, ge=1, le=4096, description="sft: microbatches of an update")
    examples: int = Field(default=32, ge=1, le=65536, description="dpo, kto: examples of an update")
    too_long: Literal["drop", "error"] = Field(
        default="drop", description="examples longer than a row; sft first cuts behind an answer"
    )


class Optimizer(_Section):
    """`[optimizer]`: AdamW with warm-up and a linear decay to zero."""

    learning_rate: float = Field(default=2e-4, gt=0)
    warmup: float = Field(default=0.03, ge=0, le=1, description="share of the updates")
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = Field(default=1.0, gt=0, description="largest gradient norm")
    balance_rate: float = Field(
        default=1e-3,
        ge=0,
        description="experts: how far an update moves the balancing bias",
    )


class Preference(_Section):
    """`[preference]`: of dpo and kto."""

    loss: Literal["dpo", "ipo"] = "dpo"
    beta: float = Field(default=0.1, gt=0, description="how dearly the model leaves its reference")
    liked_weight: float = Field(default=1.0, ge=0, description="kto: weight of liked answers")
    disliked_weight: float = Field(default=1.0, ge=0, description="kto: of disliked ones")


class FinetuneConfig(_Section):
    """A whole run."""

    base: Path = Field(description="the model to start from: a Hugging Face folder")
    data: tuple[Path, ...] = Field(min_length=1, description="JSON lines in TRL's schemas")
    held_out: tuple[Path, ...] = Field(default=(), description="scored before and after")
    run: Path = Field(description="folder of the checkpoint, the log and the finished model")
    seed: int = 0
    epochs: int = Field(default=1, ge=1, le=1000)
    threads: int = Field(default=0, ge=0, description="0: torch's own choice")
    precision: Literal["bf16", "fp32"] = "bf16"
    checkpoint_minutes: float = Field(default=10, gt=0)
    log_every: int = Field(default=10, ge=1)
    batch: Batching = Batching()
    optimizer: Optimizer = Optimizer()
    preference: Preference = Preference()

    @model_validator(mode="after")
    def _weights(self) -> Self:
        if not (self.preference.liked_weight or self.preference.disliked_weight):
            raise ValueError("liked_weight and disliked_weight are both 0: nothing to learn")
        return self


def load_finetune_config(path: Path) -> FinetuneConfig:
    """Paths in it are relative to it. Raises `ConfigError` that names the file and each wrong
    key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        config = FinetuneConfig.model_validate(data)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {wrong}") from error
    here = path.resolve().parent
    return config.model_copy(
        update={
            "base": here / config.base,
            "run": here / config.run,
            "data": tuple(here / item for item in config.data),
            "held_out": tuple(here / item for item in config.held_out),
        }
    )
