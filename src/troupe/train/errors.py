"""What can go wrong in training, as one small tree."""

from __future__ import annotations


class TrainError(Exception):
    """Anything that the training stack refuses."""


class ConfigError(TrainError):
    """A configuration that cannot be used: says which file and key."""


class CorpusError(TrainError):
    """A phrase bank or pattern that cannot be read: says which."""


class ResumeError(TrainError):
    """A checkpoint that does not continue this run: says why."""


class DataError(TrainError):
    """Training data that cannot be used: says which file and line."""
