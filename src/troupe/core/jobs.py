"""Core's periodic jobs, which the worker runs."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings as django_settings
from django.db import connection

from troupe.settings import Settings

from . import config


def clear_expired_sessions(settings: Settings) -> None:
    """Delete sessions that have ended; once a day is often enough."""
    config.setup(settings)
    engine = import_module(django_settings.SESSION_ENGINE)
    try:
        engine.SessionStore.clear_expired()
    finally:
        connection.close()
