"""Which model answers, and where: providers, routing, retries, circuit breaking."""

from .configured import from_settings
from .gateway import Gateway, Policy, Timeouts

__all__ = ["Gateway", "Policy", "Timeouts", "from_settings"]
