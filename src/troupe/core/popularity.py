"""Counts views of characters in the process, and writes them in one update a while.

A row updated a view would cost a transaction id a view, and make reads writes.
"""

from __future__ import annotations

import threading
from collections import Counter
from uuid import UUID

from django.db import connection

FLUSH_S = 10.0
MOST_KEPT = 100_000

_lock = threading.Lock()
_views: Counter[UUID] = Counter()


def count_view(character_id: UUID) -> None:
    """Count one view. It is written by the next `flush`."""
    with _lock:
        if len(_views) < MOST_KEPT or character_id in _views:
            _views[character_id] += 1


def flush() -> int:
    """Write what was counted since the last flush, in one statement; says of how many characters.

    If the database does not answer the counts are kept for the next time.
    """
    with _lock:
        counted = dict(_views)
        _views.clear()
    if not counted:
        return 0
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE core_character SET views = views + counted.number "
                "FROM unnest(%s::uuid[], %s::bigint[]) AS counted(id, number) "
                "WHERE core_character.id = counted.id",
                [list(counted), list(counted.values())],
            )
    except Exception:
        with _lock:
            _views.update(counted)
        raise
    return len(counted)
