"""What core keeps: data and the queries on it. State changes are in `troupe.core.actions`."""

from .accounts import User
from .audit import AuditEntry
from .characters import Character, CharacterVersion, ImportedCard, Visibility
from .keys import ApiKey
from .personas import Persona
from .preferences import Preferences, Theme

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Character",
    "CharacterVersion",
    "ImportedCard",
    "Persona",
    "Preferences",
    "Theme",
    "User",
    "Visibility",
]
