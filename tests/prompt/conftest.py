"""Hypothesis without deadlines: the machine may be busy."""

from hypothesis import settings

settings.register_profile("prompt", deadline=None)
settings.load_profile("prompt")
