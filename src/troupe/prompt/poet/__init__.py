"""The interface of `prompt-poet` 0.0.52: `from troupe.prompt.poet import Prompt`."""

from .escape import SPACE_MARKER
from .helpers import (
    DASH,
    DEFAULT_USERNAME,
    NARRATOR_NAME,
    CAIMessage,
    canonicalize_name,
    canonicalize_user_name,
    escape_sequences,
    get_character_definition_messages,
    maybe_inject_narrator,
    pretruncate_messages,
    raise_missing_context_data,
)
from .loaders import (
    GCS_TEMPLATE_LOADER_PREFIX,
    CacheLoader,
    GCSDictTemplateLoader,
    LocalFSTemplateLoader,
    LocalPackageTemplateLoader,
    TemplateLoader,
)
from .parts import PromptPart, PromptSection
from .prompt import Prompt
from .registry import CACHE_MAX_SIZE, TEMPLATE_REFRESH_INTERVAL_SECS, TemplateRegistry
from .template import Template
from .tokenizer import get_encode_func
from .truncation import TruncationBlock, TruncationError

__all__ = [
    "CACHE_MAX_SIZE",
    "DASH",
    "DEFAULT_USERNAME",
    "GCS_TEMPLATE_LOADER_PREFIX",
    "NARRATOR_NAME",
    "SPACE_MARKER",
    "TEMPLATE_REFRESH_INTERVAL_SECS",
    "CAIMessage",
    "CacheLoader",
    "GCSDictTemplateLoader",
    "LocalFSTemplateLoader",
    "LocalPackageTemplateLoader",
    "Prompt",
    "PromptPart",
    "PromptSection",
    "Template",
    "TemplateLoader",
    "TemplateRegistry",
    "TruncationBlock",
    "TruncationError",
    "canonicalize_name",
    "canonicalize_user_name",
    "escape_sequences",
    "get_character_definition_messages",
    "get_encode_func",
    "maybe_inject_narrator",
    "pretruncate_messages",
    "raise_missing_context_data",
]
