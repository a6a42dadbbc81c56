"""Which model answers, and where: providers, routing, retries, circuit breaking."""

from .configured import from_settings
from .gateway import Gateway, Retries

__all__ = ["Gateway", "Retries", "from_settings"]
