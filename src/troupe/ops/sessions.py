"""Deletes the sessions that have ended, in a process of its own; the worker runs it once a day."""

from __future__ import annotations

from troupe.core.jobs import clear_expired_sessions
from troupe.ops.database import complete
from troupe.settings import Settings
from troupe.telemetry import logs

if __name__ == "__main__":
    settings = complete(Settings())
    logs.configure("worker", settings.log_level, settings.log_format)
    clear_expired_sessions(settings)
