"""Where conversations are kept: the `ChatStore` interface and its PostgreSQL implementation."""

from .base import ChatStore
from .postgres import PostgresStore

__all__ = ["ChatStore", "PostgresStore"]
