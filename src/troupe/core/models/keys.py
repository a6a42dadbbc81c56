"""API keys. Only the SHA-256 of a key is kept, with what its owner needs to tell it apart."""

from __future__ import annotations

import uuid

from django.db import models

from troupe.core import limits

from .accounts import User


class ApiKey(models.Model):
    """A bearer key. A revoked one stays for the record."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=limits.KEY_NAME)
    sha256 = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=16)
    last4 = models.CharField(max_length=4, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}…{self.last4}"
