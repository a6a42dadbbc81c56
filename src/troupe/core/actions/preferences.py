"""Changing what a user prefers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from troupe.core.models import Preferences, User

from .audit import record


def change(user: User, changes: Mapping[str, Any]) -> Preferences:
    """Replace some preferences. `default_persona_id` must be of a persona of the user's own."""
    with transaction.atomic():
        if changes:  # one statement: update_or_create would take a savepoint, and so an id, more
            Preferences.objects.bulk_create(
                [Preferences(user=user, **changes)],
                update_conflicts=True,
                unique_fields=["user"],
                update_fields=list(changes),
            )
            record(user, "preferences.change", user.id, fields=sorted(changes))
        return Preferences.objects.filter(user=user).first() or Preferences()
