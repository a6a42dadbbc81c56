"""What a user prefers. A user without a row has the defaults."""

from __future__ import annotations

from django.db import models

from troupe.core import limits

from .accounts import User
from .personas import Persona


class Theme(models.TextChoices):
    """Colours of the app; `system` follows the device."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class Preferences(models.Model):
    """`default_model` is empty for the platform's own choice."""

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE)
    default_model = models.CharField(max_length=limits.MODEL_NAME, blank=True)
    theme = models.CharField(max_length=10, choices=Theme.choices, default=Theme.SYSTEM)
    default_persona = models.ForeignKey(
        Persona, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"
