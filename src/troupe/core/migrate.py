"""Brings core's tables up to date."""

from __future__ import annotations

from troupe.settings import Settings

from . import config


def migrate(settings: Settings) -> list[str]:
    """Apply the migrations that are missing, in order; their names. Safe at every start."""
    config.setup(settings)
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            call_command("migrate", verbosity=0, interactive=False)
        return [f"{migration.app_label}.{migration.name}" for migration, _ in missing]
    finally:
        config.close()
