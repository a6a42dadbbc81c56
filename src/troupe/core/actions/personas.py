"""Making, changing and deleting personas."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from troupe.core import limits
from troupe.core.errors import Conflict
from troupe.core.models import Persona, Preferences, User

from .audit import record


def create(user: User, name: str, description: str) -> Persona:
    """A persona. Raises `Conflict` at the limit on their number."""
    persona = Persona(user=user, name=name, description=description)
    with transaction.atomic():
        if Persona.objects.filter(user=user).count() >= limits.PERSONAS_A_USER:
            raise Conflict(
                f"You have {limits.PERSONAS_A_USER} personas, which is the most; delete one first."
            )
        persona.save(force_insert=True)
        record(user, "persona.create", persona.id)
    return persona


def change(persona: Persona, changes: Mapping[str, str]) -> Persona:
    """Replace its name, its description, or both."""
    changed = [key for key, value in changes.items() if getattr(persona, key) != value]
    if not changed:
        return persona
    for key in changed:
        setattr(persona, key, changes[key])
    with transaction.atomic():
        persona.save(update_fields=changed)
        record(persona.user, "persona.change", persona.id, fields=changed)
    return persona


def delete(persona: Persona) -> None:
    """Delete it; if it was the default one, there is then no default."""
    with transaction.atomic():
        Preferences.objects.filter(default_persona=persona).update(default_persona=None)
        record(persona.user, "persona.delete", persona.id)
        persona.delete()
