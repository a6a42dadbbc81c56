"""Where models run: Troupe's own engine, and anything that speaks OpenAI's API."""

from .openai import OpenAIProvider
from .troupe import TroupeProvider

__all__ = ["OpenAIProvider", "TroupeProvider"]
