"""Chat formats: the same parts as plain text, as OpenAI messages, or through a model's own chat
template, each with its price in tokens."""

from .chat_template import ChatTemplate
from .fitted import fitted
from .messages import Names, stops, to_messages
from .openai import OpenAIMessages, Overhead
from .rendered import Format, Rendered
from .text import PlainText

__all__ = [
    "ChatTemplate",
    "Format",
    "Names",
    "OpenAIMessages",
    "Overhead",
    "PlainText",
    "Rendered",
    "fitted",
    "stops",
    "to_messages",
]
