"""The prompt compiler: template and data in, parts and token ids out. Pure: it does no I/O."""

from .conversation import Conversation, compile_prompt
from .errors import (
    DataError,
    LimitExceeded,
    PromptError,
    PromptTooLong,
    TemplateError,
    TokenizerError,
)
from .hashes import BLOCK
from .layout import Layout
from .macros import replace_names
from .platform import platform_template
from .sandbox import Limits
from .template import Template
from .tokenizers import EstimateTokenizer, HuggingFaceTokenizer
from .truncate import Truncation
from .types import ChatFormat, ChatMessage, CompiledPrompt, Part, Section, Tokenizer

__all__ = [
    "BLOCK",
    "ChatFormat",
    "ChatMessage",
    "CompiledPrompt",
    "Conversation",
    "DataError",
    "EstimateTokenizer",
    "HuggingFaceTokenizer",
    "Layout",
    "LimitExceeded",
    "Limits",
    "Part",
    "PromptError",
    "PromptTooLong",
    "Section",
    "Template",
    "TemplateError",
    "Tokenizer",
    "TokenizerError",
    "Truncation",
    "compile_prompt",
    "platform_template",
    "replace_names",
]
