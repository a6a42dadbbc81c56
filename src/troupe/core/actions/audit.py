"""Writes the audit log. Called by every action, inside its transaction."""

from __future__ import annotations

from typing import Any

from troupe.core.models import AuditEntry, User
from troupe.telemetry import request_id


def record(actor: User | None, action: str, target: object, **details: Any) -> None:
    """Add a row: `action` names the change (`character.publish`), `target` what was changed."""
    AuditEntry.objects.create(
        actor=actor,
        action=action,
        target=str(target)[:80],
        details=details,
        request_id=request_id.current.get() or "",
    )
