"""The chat service's fixtures."""

from tests.support.chat_server import chat_settings, models, rows, server

__all__ = ["chat_settings", "models", "rows", "server"]
