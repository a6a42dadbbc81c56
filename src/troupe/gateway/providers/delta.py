"""Prompts for Troupe's engine as what is new to it: the rest is named by its hash.

Remembers of each conversation where its last prompt and answer ended at one engine, and by hashes
that the prompt carries finds how much of a new prompt is the same: at the cost of what is new, and
no token is hashed or written twice. What is remembered may be gone; the engine says so. Pure.
Called by the engine's provider.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from troupe.prompt import TokenSequence

CONVERSATIONS = 4096  # remembered, the last used
# Distances in blocks at which marks are sent: few, since each adds to every turn what it saves in
# one that finds its conversation's end evicted.
_FIRST_MARK, _MARK_GROWTH = 4, 4


class Place(NamedTuple):
    """A prompt's first `length` tokens, full blocks all, and their hash."""

    length: int
    digest: bytes


class Left:
    """What conversations are known to have left at one engine."""

    def __init__(self, capacity: int = CONVERSATIONS) -> None:
        self._places: OrderedDict[str, tuple[Place, ...]] = OrderedDict()
        self._capacity = capacity

    def prefix(self, conversation: str, tokens: TokenSequence) -> Place | None:
        """The longest known place that the prompt runs through."""
        for place in self._places.get(conversation, ()):
            if place.length <= len(tokens) and tokens.hash_to(place.length) == place.digest:
                return place
        return None

    def remember(self, conversation: str, tokens: TokenSequence, answer: Place | None) -> None:
        """The engine has run this prompt, and at its end keeps what it says of the `answer`.

        Of the prompt, places at growing distances from its end (the next one will part from it
        near there) and from its beginning (or where a cut made it part).
        """
        block, last = tokens.block, len(tokens) // tokens.block
        steps = [0, *(2**k for k in range(last.bit_length()))]
        lengths = {last - step for step in steps} | set(steps)
        places = [
            Place(length * block, tokens.hash_to(length * block))
            for length in sorted(lengths, reverse=True)
            if 0 < length <= last
        ]
        self._places[conversation] = (*([answer] if answer is not None else []), *places)
        self._places.move_to_end(conversation)
        if len(self._places) > self._capacity:
            self._places.popitem(last=False)


def prompt_fields(ids: Sequence[int], prefix: Place | None) -> dict[str, Any]:
    """The part of a request's body that is the prompt. `ids` has hashes where there is a prefix."""
    if prefix is None:
        return packed(ids)
    assert isinstance(ids, TokenSequence)
    distances = _growing(prefix.length // ids.block)
    lengths = [prefix.length - distance * ids.block for distance in distances]
    named: dict[str, Any] = {"length": prefix.length, "hash": write_hash(prefix.digest)}
    if lengths:
        named["marks"] = [[length, write_hash(ids.hash_to(length))] for length in lengths]
    return {"prefix": named, **packed(ids.ids_from(prefix.length))}


def packed(ids: Sequence[int]) -> dict[str, Any]:
    """Token ids as base64, two bytes each where all fit."""
    ids = list(ids)
    code, size = ("H", 2) if max(ids, default=0) < 2**16 else ("I", 4)
    data = struct.pack(f"<{len(ids)}{code}", *ids)
    return {"prompt_b64": b64encode(data).decode(), "token_bytes": size}


def place_in(event: str) -> Place | None:
    """Where an answer ended, if this event of its stream says so. Text is escaped in JSON, so what
    is looked for stands in no answer."""
    if '"prefix":{' not in event:
        return None
    try:
        said = json.loads(event)["choices"][0]["prefix"]
        return Place(int(said["length"]), b64decode(said["hash"] + "=="))
    except (LookupError, TypeError, ValueError):
        return None  # whatever it is, it is no place; the next prompt is sent from further back


def write_hash(digest: bytes) -> str:
    """Base64 without padding."""
    return b64encode(digest).decode().rstrip("=")


def _growing(blocks: int) -> list[int]:
    """Distances in blocks, growing, within so many."""
    distances = []
    distance = _FIRST_MARK
    while distance < blocks:
        distances.append(distance)
        distance *= _MARK_GROWTH
    return distances
