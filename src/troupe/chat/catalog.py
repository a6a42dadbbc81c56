"""What chat knows of characters, personas and keys: immutable versions read from core's views.

The only door between chat and core's data. Core owns the views (`catalog_version`,
`catalog_persona`, `catalog_api_key`); chat keeps what it read, because a version never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LoreEntry:
    """What a character knows, called up when a key stands in the chat (and one of the secondary
    keys too, if there are any), or always if it is `constant`."""

    keys: tuple[str, ...]
    secondary_keys: tuple[str, ...]
    constant: bool
    case_sensitive: bool
    order: int  # lower stands earlier
    priority: int  # lower goes first where not all fit
    content: str


@dataclass(frozen=True, slots=True)
class Lorebook:
    """A character's lorebook. `scan_depth` is in messages; None where the card says nothing."""

    scan_depth: int | None
    token_budget: int | None
    entries: tuple[LoreEntry, ...]


@dataclass(frozen=True, slots=True)
class CharacterVersion:
    """A published version of a character, as a prompt needs it. It never changes."""

    version_id: UUID
    character_id: UUID
    slug: str
    owner_id: UUID
    visibility: str  # public, unlisted or private
    name: str
    tagline: str
    description: str
    greeting: str
    alternate_greetings: tuple[str, ...]
    definition: str
    example_dialogues: str
    avatar: str  # a URL path, or empty
    tags: tuple[str, ...]
    lorebook: Lorebook | None = None


@dataclass(frozen=True, slots=True)
class Persona:
    """Who a user is in a chat."""

    persona_id: UUID
    user_id: UUID
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The owner of a bearer key."""

    key_id: UUID
    user_id: UUID
    user_name: str


class Catalog(Protocol):
    """Reads only. `None` where there is no such thing, or it is not for this viewer."""

    async def version(self, version_id: UUID) -> CharacterVersion | None:
        """A version, whoever asks (a chat that has it may go on with it)."""
        ...

    async def current(self, slug_or_id: str, viewer: UUID | None) -> CharacterVersion | None:
        """The newest version of a character that the viewer may see."""
        ...

    async def search(self, viewer: UUID | None, limit: int) -> list[CharacterVersion]:
        """Characters the viewer may use as a model (`character/<slug>`)."""
        ...

    async def persona(self, persona_id: UUID, user_id: UUID) -> Persona | None: ...

    async def default_persona(self, user_id: UUID) -> Persona | None: ...

    async def api_key(self, key: str) -> ApiKey | None:
        """Who owns a key; keys are stored as SHA-256 only."""
        ...
