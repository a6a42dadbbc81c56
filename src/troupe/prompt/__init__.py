"""The prompt compiler: template and data in, parts and token ids out. Pure: it does no I/O."""

from .types import ChatFormat, ChatMessage, Tokenizer

__all__ = ["ChatFormat", "ChatMessage", "Tokenizer"]
