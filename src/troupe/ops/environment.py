"""What each supervised process is told, by its environment: what it needs, and no other secret."""

from __future__ import annotations

from collections.abc import Mapping

from troupe.settings import Settings

# Which secrets a process gets. Everything else of our environment is passed on.
_SECRETS = {
    "TROUPE_SECRET_KEY": ("web", "worker", "migrate"),
    "TROUPE_DATABASE_URL": ("web", "worker", "migrate"),
    "TROUPE_CHAT_DATABASE_URL": ("web", "worker", "migrate"),
    "TROUPE_ADMIN_PASSWORD": ("migrate",),
    "TROUPE_API_KEY": ("migrate",),
    "TROUPE_OPENAI_API_KEY": ("web",),
    "TROUPE_REDIS_URL": ("web", "engine"),
}


def of_process(
    name: str,
    settings: Settings,
    inherited: Mapping[str, str],
    dsn: str | None,
    admin_password: str,
) -> dict[str, str]:
    """The environment of the process `name`; `dsn` is the main database's, once known."""
    told = dict(inherited)
    told.update(
        TROUPE_HOME=str(settings.root),
        TROUPE_INSTANCE=f"{name}-0",
        TROUPE_LOG_FORMAT="json" if settings.log_format == "auto" else settings.log_format,
        TROUPE_ADMIN_PASSWORD=admin_password,
        PYTHONUNBUFFERED="1",
    )
    # Each thread of glibc may else keep a heap of its own, of which little is ever given back.
    told.setdefault("MALLOC_ARENA_MAX", "2")
    if settings.secret_key is not None:
        told["TROUPE_SECRET_KEY"] = settings.secret_key.get_secret_value()
    if dsn is not None:
        told["TROUPE_DATABASE_URL"] = dsn
    return {key: value for key, value in told.items() if name in _SECRETS.get(key, (name,))}
