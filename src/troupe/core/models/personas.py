"""Personas: who a user is in a chat."""

from __future__ import annotations

import uuid

from django.db import models

from troupe.core import limits

from .accounts import User


class Persona(models.Model):
    """A name and a description that a user can wear."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="personas")
    name = models.CharField(max_length=limits.PERSONA_NAME)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name
