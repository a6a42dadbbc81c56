"""The prompt compiler: template and data in, parts and token ids out. Pure: but for
`loaders`, the platform's own templates and the commands of `cli` it does no I/O."""

from . import loaders
from .attachments import Image, ToolCall, ToolResult
from .compiled import CompiledPrompt
from .conversation import Conversation, compile_prompt
from .errors import (
    DataError,
    FormatError,
    LimitExceeded,
    PromptError,
    PromptTooLong,
    TemplateError,
    TokenizerError,
)
from .hashes import BLOCK, block_hashes
from .layout import Layout
from .macros import replace_names
from .platform import platform_template
from .run import Limits
from .sequence import TokenSequence
from .template import Template
from .tokenizers import (
    CallableTokenizer,
    EstimateTokenizer,
    HuggingFaceTokenizer,
    TiktokenTokenizer,
)
from .truncate import Truncation
from .types import ChatFormat, ChatMessage, Part, Section, Tokenizer

__all__ = [
    "BLOCK",
    "CallableTokenizer",
    "ChatFormat",
    "ChatMessage",
    "CompiledPrompt",
    "Conversation",
    "DataError",
    "EstimateTokenizer",
    "FormatError",
    "HuggingFaceTokenizer",
    "Image",
    "Layout",
    "LimitExceeded",
    "Limits",
    "Part",
    "PromptError",
    "PromptTooLong",
    "Section",
    "Template",
    "TemplateError",
    "TiktokenTokenizer",
    "TokenSequence",
    "Tokenizer",
    "TokenizerError",
    "ToolCall",
    "ToolResult",
    "Truncation",
    "block_hashes",
    "compile_prompt",
    "loaders",
    "platform_template",
    "replace_names",
]
