"""Tokens by tiktoken, where it is installed and its vocabulary is at hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

Encode = Callable[[str], list[int]]

DEFAULT_ENCODING = "o200k_base"


def get_encode_func(encoding_name: str | None = None) -> Encode:
    """The function that makes token ids of text in this encoding. Raises `ImportError` without
    tiktoken, `ValueError` for a name that it does not know, and what it raises without its files.
    """
    return _encoding(encoding_name or DEFAULT_ENCODING)


@cache
def _encoding(name: str) -> Encode:
    try:
        tiktoken = import_module("tiktoken")
    except ImportError as error:
        raise ImportError(
            "tiktoken is not installed: install it, or give Prompt an encode_func"
        ) from error
    encode: Encode = tiktoken.get_encoding(name).encode
    return encode
