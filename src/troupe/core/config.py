"""Sets Django up from Troupe's settings, once a process.

Everything outside core that needs Django (the web process, migrations, bootstrap, tests) comes in
through `setup`. It may not import models: they exist only after it ran.
"""

from __future__ import annotations

import atexit
import logging
import os

import django
from django.db import connections

from troupe.settings import Settings

_given: Settings | None = None


class AlreadySetUp(Exception):
    """Django keeps one configuration a process, and this process has another one already."""

    def __init__(self) -> None:
        super().__init__(
            "core is set up in this process with other settings; use one Settings object "
            "throughout, or another process"
        )


def given() -> Settings:
    """The settings that core runs with; from the environment before `setup` (type checkers)."""
    return _given if _given is not None else Settings()


def setup(settings: Settings) -> None:
    """Set Django up. A second call with the same settings does nothing.

    Raises `AlreadySetUp` when it was set up with others.
    """
    global _given
    if _given is not None:
        if settings != _given:
            raise AlreadySetUp
        return
    _given = settings
    os.environ["DJANGO_SETTINGS_MODULE"] = "troupe.core.django_settings"
    django.setup()
    logging.getLogger("django.request").setLevel(logging.ERROR)  # refusals are in our own log
    atexit.register(close)


def close() -> None:
    """Close the pool of database connections; the next query opens it again."""
    for connection in connections.all():
        if connection.connection is not None:
            connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
