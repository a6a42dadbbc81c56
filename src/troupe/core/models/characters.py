"""Characters and their published versions.

A version never changes. A character points at its current one and repeats what lists and searches
need of it, so that they read one narrow table.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from troupe.core import limits

from .accounts import User


class Visibility(models.TextChoices):
    """Who may see a character: everybody, whoever has its address, or its owner."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    PRIVATE = "private"


class Character(models.Model):
    """A character, whatever its version. `search` and the repeated fields follow `current`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="characters")
    slug = models.CharField(max_length=limits.SLUG, unique=True)
    visibility = models.CharField(max_length=10, choices=Visibility.choices)
    current = models.OneToOneField(
        "CharacterVersion", null=True, on_delete=models.RESTRICT, related_name="+"
    )
    name = models.CharField(max_length=limits.IMPORTED_NAME)
    name_lower = models.CharField(max_length=2 * limits.IMPORTED_NAME)
    tagline = models.CharField(max_length=limits.TAGLINE, blank=True)
    avatar = models.CharField(max_length=200, blank=True)
    tags = ArrayField(models.CharField(max_length=limits.TAG), default=list)
    search = SearchVectorField()
    views = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["visibility", "-updated_at", "-id"], name="core_character_recent"),
            models.Index(fields=["visibility", "name_lower", "id"], name="core_character_name"),
            models.Index(fields=["visibility", "-views", "-id"], name="core_character_popular"),
            models.Index(fields=["owner", "-updated_at", "-id"], name="core_character_owner"),
            models.Index(
                fields=["name_lower"], name="core_character_prefix", opclasses=["text_pattern_ops"]
            ),
            GinIndex(fields=["search"], name="core_character_search"),
            GinIndex(fields=["tags"], name="core_character_tags"),
        ]

    def __str__(self) -> str:
        return self.slug


class ImportedCard(models.Model):
    """The card that a character came from. Every version of the character points at it.

    `text` is its JSON as it stood, `lorebook` what chat reads of it (`cards/book.py`); `file` names
    the CHARX file, if it was one, whose other entries an export carries over.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = models.TextField()
    lorebook = models.JSONField(null=True)
    file = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"card {self.id}"


class CharacterVersion(models.Model):
    """A character as it was published once. Saving one again is refused."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    character = models.ForeignKey(Character, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=limits.IMPORTED_NAME)
    tagline = models.CharField(max_length=limits.TAGLINE, blank=True)
    description = models.TextField(blank=True)
    greeting = models.TextField(blank=True)
    alternate_greetings = models.JSONField(default=list)
    definition = models.TextField(blank=True)
    example_dialogues = models.TextField(blank=True)
    tags = models.JSONField(default=list)
    avatar = models.CharField(max_length=200, blank=True)
    imported = models.ForeignKey(
        ImportedCard, null=True, on_delete=models.RESTRICT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "number"], name="core_version_number")
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert it. A chat may have read a version, so an update is a fault of the program."""
        if not self._state.adding:
            raise TypeError("a published version never changes; publish another")
        super().save(*args, **kwargs)
