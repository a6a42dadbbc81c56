"""Names core to Django."""

from __future__ import annotations

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """The one Django app of the platform."""

    name = "troupe.core"
    label = "core"
    verbose_name = "Troupe"
