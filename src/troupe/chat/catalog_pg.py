"""The catalog over core's views, by psycopg. Versions are kept, because they never change.

Reads only, each one statement outside a transaction, so that none uses a transaction id.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from .catalog import ApiKey, CharacterVersion, Lorebook, LoreEntry, Persona

KEPT_VERSIONS = 4096
KEPT_KEYS = 4096
KEY_GOOD_FOR_S = 10.0  # a revoked key works at most this much longer

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]

_COLUMNS = (
    "version_id, character_id, slug, owner_id, visibility, name, tagline, description, greeting, "
    "alternate_greetings, definition, example_dialogues, avatar, tags, lorebook"
)
_VERSION = f"SELECT {_COLUMNS} FROM catalog_version WHERE version_id = %s"  # noqa: S608
_BY_ID = (
    f"SELECT {_COLUMNS} FROM catalog_version WHERE character_id = %s AND is_current "  # noqa: S608
    "AND (visibility <> 'private' OR owner_id = %s)"
)
_BY_SLUG = (
    f"SELECT {_COLUMNS} FROM catalog_version WHERE slug = %s AND is_current "  # noqa: S608
    "AND (visibility <> 'private' OR owner_id = %s)"
)
_SEARCH = (
    f"SELECT {_COLUMNS} FROM catalog_version WHERE is_current "  # noqa: S608
    "AND (visibility = 'public' OR owner_id = %s) ORDER BY slug LIMIT %s"
)
_PERSONA = (
    "SELECT persona_id, user_id, name, description FROM catalog_persona "
    "WHERE persona_id = %s AND user_id = %s"
)
_DEFAULT_PERSONA = (
    "SELECT persona_id, user_id, name, description FROM catalog_persona "
    "WHERE user_id = %s AND is_default LIMIT 1"
)
_KEY = "SELECT key_id, user_id, user_name FROM catalog_api_key WHERE key_sha256 = %s"


class PostgresCatalog:
    """`Catalog` over a small pool of its own, which `open` opens."""

    def __init__(self, dsn: str, connections: int = 4) -> None:
        self._pool: Pool = AsyncConnectionPool(
            dsn,
            kwargs={"autocommit": True, "row_factory": dict_row},
            min_size=1,
            max_size=connections,
            open=False,
            name="catalog",
        )
        self._versions: OrderedDict[UUID, CharacterVersion] = OrderedDict()
        self._keys: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()

    async def open(self) -> None:
        """Connect. Raises `PoolTimeout` when the database does not answer."""
        await self._pool.open(wait=True, timeout=30.0)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def version(self, version_id: UUID) -> CharacterVersion | None:
        """A version, whoever asks."""
        kept = self._versions.get(version_id)
        if kept is not None:
            self._versions.move_to_end(version_id)
            return kept
        return self._keep(await self._one(_VERSION, (version_id,)))

    async def current(self, slug_or_id: str, viewer: UUID | None) -> CharacterVersion | None:
        """The newest version of a character that the viewer may see."""
        try:
            character_id = UUID(slug_or_id)
        except ValueError:
            return self._keep(await self._one(_BY_SLUG, (slug_or_id, viewer)))
        return self._keep(await self._one(_BY_ID, (character_id, viewer)))

    async def search(self, viewer: UUID | None, limit: int) -> list[CharacterVersion]:
        """Public characters and the viewer's own, by slug."""
        rows = await self._all(_SEARCH, (viewer, limit))
        return [_version(row) for row in rows]

    async def persona(self, persona_id: UUID, user_id: UUID) -> Persona | None:
        """A persona of this user's."""
        row = await self._one(_PERSONA, (persona_id, user_id))
        return Persona(**row) if row else None

    async def default_persona(self, user_id: UUID) -> Persona | None:
        """The persona that the user wears when none is named."""
        row = await self._one(_DEFAULT_PERSONA, (user_id,))
        return Persona(**row) if row else None

    async def api_key(self, key: str) -> ApiKey | None:
        """Who owns a key; found by its SHA-256, the only form in which keys are stored."""
        digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        now = time.monotonic()
        kept = self._keys.get(digest)
        if kept is not None and now - kept[0] < KEY_GOOD_FOR_S:
            return kept[1]
        row = await self._one(_KEY, (digest,))
        if row is None:
            self._keys.pop(digest, None)
            return None
        owner = ApiKey(**row)
        self._keys[digest] = (now, owner)
        if len(self._keys) > KEPT_KEYS:
            self._keys.popitem(last=False)
        return owner

    async def check(self) -> None:
        """Readiness: raises what the database says if it cannot be asked."""
        await self._all("SELECT 1", ())

    def _keep(self, row: DictRow | None) -> CharacterVersion | None:
        if row is None:
            return None
        version = self._versions.setdefault(row["version_id"], _version(row))
        if len(self._versions) > KEPT_VERSIONS:
            self._versions.popitem(last=False)
        return version

    async def _one(self, query: str, values: Sequence[Any]) -> DictRow | None:
        rows = await self._all(query, values)
        return rows[0] if rows else None

    async def _all(self, query: str, values: Sequence[Any]) -> list[DictRow]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall()


def _version(row: DictRow) -> CharacterVersion:
    return CharacterVersion(
        **{
            **row,
            "alternate_greetings": tuple(row["alternate_greetings"]),
            "tags": tuple(row["tags"]),
            "lorebook": _lorebook(row["lorebook"]),
        }
    )


def _lorebook(book: Mapping[str, Any] | None) -> Lorebook | None:
    if book is None:
        return None
    entries = tuple(
        LoreEntry(
            **{
                **entry,
                "keys": tuple(entry["keys"]),
                "secondary_keys": tuple(entry["secondary_keys"]),
            }
        )
        for entry in book["entries"]
    )
    return Lorebook(book["scan_depth"], book["token_budget"], entries)
