"""Delta prompts: a prompt as what the engine holds already, by hash and length, and what is new.

A client that comes back sends the hash of its history in place of the history. The hash is that of
`kv/index.py`: of all tokens up to a page's end. What is not held is answered with the longest of
the marks that the client sent along, so that it resends from there. Pure but for `find`, which asks
the index. Called by the server.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from troupe.engine.errors import InvalidRequest, PrefixGone
from troupe.engine.steps import PAGE
from troupe.engine.types import Prefix

MAX_MARKS = 64
_DIGEST = 16  # bytes

Find = Callable[[str, bytes, int], "list[int] | None"]  # salt, hash, length
Hash = Annotated[str, Field(min_length=22, max_length=24)]  # base64 of 16 bytes, padded or not
Length = Annotated[int, Field(ge=PAGE, multiple_of=PAGE)]
TokenBytes = Literal[2, 4]


class PrefixBody(BaseModel):
    """`prefix` of a request: the leading tokens of the prompt, and shorter ones to fall back on."""

    model_config = ConfigDict(strict=True, extra="forbid")

    length: Length
    hash: Hash
    marks: Annotated[list[Annotated[list[int | str], Field(max_length=2)]], Field()] = []

    def prefixes(self) -> list[Prefix]:
        """The prefix, then the marks. Raises `InvalidRequest`."""
        if len(self.marks) > MAX_MARKS:
            raise InvalidRequest(f"prefix.marks may have up to {MAX_MARKS} entries", "prefix")
        found = [Prefix(self.length, read_hash(self.hash))]
        for mark in self.marks:
            match mark:
                case [int(length), str(text)] if length > 0 and length % PAGE == 0:
                    found.append(Prefix(length, read_hash(text)))
                case _:
                    raise InvalidRequest(
                        f"a mark is [length, hash], its length a multiple of {PAGE}", "prefix"
                    )
        return found


def resolve(salt: str, asked: Sequence[Prefix], find: Find) -> list[int]:
    """The tokens of the first of `asked`. Raises `PrefixGone` with the longest of the others that
    is held. Another salt's are not held, and nothing tells them from what never was."""
    tokens = find(salt, asked[0].digest, asked[0].length)
    if tokens is not None:
        return tokens
    for mark in sorted(asked[1:], key=lambda one: -one.length):
        if find(salt, mark.digest, mark.length) is not None:
            raise PrefixGone(mark.length, mark.digest)
    raise PrefixGone


def read_hash(text: str) -> bytes:
    """A hash from base64, padded or not. Raises `InvalidRequest`."""
    digest = _bytes(text, "prefix")
    if len(digest) != _DIGEST:
        raise InvalidRequest(f"a prefix's hash is base64 of {_DIGEST} bytes", "prefix")
    return digest


def write_hash(digest: bytes) -> str:
    """Base64 without padding."""
    return b64encode(digest).decode().rstrip("=")


def read_tokens(text: str, token_bytes: TokenBytes) -> list[int]:
    """Token ids from base64 of little-endian unsigned integers. Raises `InvalidRequest`."""
    data = _bytes(text, "prompt_b64")
    if len(data) % token_bytes:
        raise InvalidRequest(f"prompt_b64 ends within a token of {token_bytes} bytes", "prompt_b64")
    ids: list[int] = np.frombuffer(data, f"<u{token_bytes}").tolist()
    return ids


def _bytes(text: str, param: str) -> bytes:
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{param} is not base64: {error}", param) from error
