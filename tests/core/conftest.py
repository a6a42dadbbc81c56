"""Core's fixtures."""

from tests.support.core import browser, core_app, core_database, core_settings

__all__ = ["browser", "core_app", "core_database", "core_settings"]
