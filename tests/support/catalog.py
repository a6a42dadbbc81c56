"""Core's views as plain tables in a test's own database, with people and characters in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

TABLES = """
CREATE TABLE catalog_version (version_id uuid, character_id uuid, slug text, owner_id uuid,
  visibility text, name text, tagline text, description text, greeting text,
  alternate_greetings jsonb, definition text, example_dialogues text, avatar text, tags jsonb,
  is_current bool, created_at timestamptz DEFAULT now(), lorebook jsonb);
CREATE TABLE catalog_persona (persona_id uuid, user_id uuid, name text, description text,
  is_default bool);
CREATE TABLE catalog_api_key (key_id uuid, key_sha256 text, user_id uuid, user_name text);
"""


@dataclass
class CatalogRows:
    """Puts rows in, as core would."""

    dsn: str
    owner: UUID = field(default_factory=uuid4)

    def create(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(TABLES)

    def character(self, slug: str, **values: object) -> UUID:
        """A public character; gives its character id."""
        row: dict[str, object] = {
            "version_id": uuid4(),
            "character_id": uuid4(),
            "slug": slug,
            "owner_id": self.owner,
            "visibility": "public",
            "name": slug.title(),
            "tagline": "A keeper of lights.",
            "description": "{{char}} lives on Grey Point.",
            "greeting": "*{{char}} looks up.* Hello, {{user}}.",
            "alternate_greetings": ["Oh. It is you, {{user}}."],
            "definition": "Calm and dry.",
            "example_dialogues": "{{user}}: Hi\n{{char}}: Mind the step.",
            "avatar": "/media/a.webp",
            "tags": ["calm"],
            "is_current": True,
            **values,
        }
        row = {k: Jsonb(v) if isinstance(v, list | dict) else v for k, v in row.items()}
        names = ", ".join(row)
        marks = ", ".join(f"%({name})s" for name in row)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            query = f"INSERT INTO catalog_version ({names}) VALUES ({marks})"
            connection.execute(query.encode(), row)
        return row["character_id"]  # type: ignore[return-value]

    def persona(self, user_id: UUID, name: str, default: bool = False) -> UUID:
        """A persona of a user's; gives its id."""
        persona_id = uuid4()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO catalog_persona VALUES (%s, %s, %s, 'Tall.', %s)",
                (persona_id, user_id, name, default),
            )
        return persona_id

    def api_key(self, key: str, user_id: UUID) -> None:
        """A bearer key."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO catalog_api_key VALUES (%s, %s, %s, 'Ada')",
                (uuid4(), digest, user_id),
            )
