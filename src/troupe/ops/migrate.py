"""Brings both kinds of tables up to date, core's and the chat store's, and fills a new Troupe.

Called by `troupe migrate`, which the supervisor runs before `web`.
"""

from __future__ import annotations

from troupe.ops import database
from troupe.settings import Settings


def migrate(settings: Settings) -> list[str]:
    """Apply what is missing, core's first; the names. `settings` name the database.

    Raises `DatabaseError` if it is not fit for use.
    """
    from troupe.chat.store.migrations import migrate as migrate_chat
    from troupe.core.migrate import migrate as migrate_core

    assert settings.database_url is not None
    database.check(settings.database_url)
    if settings.chat_database_url is not None:
        database.check(settings.chat_database_url, "TROUPE_CHAT_DATABASE_URL")
    applied = migrate_core(settings)
    chat_dsn = settings.chat_database_url or settings.database_url
    return [*applied, *(f"chat.{name}" for name in migrate_chat(chat_dsn))]


def bootstrap(settings: Settings) -> None:
    """Make the administrator and the first characters; safe at every start."""
    from troupe.core.bootstrap import bootstrap as bootstrap_core

    assert settings.admin_password is not None
    key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    bootstrap_core(settings, settings.admin_password.get_secret_value(), key)
