"""The fixtures of fine-tuning."""

from tests.train.finetune.conftest import base, experts_base, make_finetune

__all__ = ["base", "experts_base", "make_finetune"]
