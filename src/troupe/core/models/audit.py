"""Who changed what, and when. Rows are only ever added."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from .accounts import User


class AuditEntry(models.Model):
    """One state change, written in the transaction that made it."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=80)
    details = models.JSONField(default=dict)
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        verbose_name_plural = "audit log"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
