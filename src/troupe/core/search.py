"""Lists of characters: what a viewer may see, found by words, tag and owner, a page at a time.

Pages are found by keyset: the cursor names the last row, so that page 1,000 costs what page 1 does.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db import connection
from django.db.models import Q, QuerySet

from . import text
from .errors import Invalid, NotFound, NotSignedIn
from .models import Character, User, Visibility

ME = "me"
TAGS_KEPT_S = 30.0


class Sort(StrEnum):
    """Newest first, by name, or most viewed first."""

    RECENT = "recent"
    NAME = "name"
    POPULAR = "popular"


_COLUMNS = {Sort.RECENT: "updated_at", Sort.NAME: "name_lower", Sort.POPULAR: "views"}
_SHOWN = ("id", "slug", "name", "tagline", "avatar", "tags", "visibility", "updated_at", "views",
          "name_lower", "owner__id", "owner__name")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search. Empty texts ask for nothing in particular."""

    q: str = ""
    tag: str = ""
    owner: str = ""
    sort: Sort = Sort.RECENT
    cursor: str = ""
    limit: int = 24


def page(wanted: Wanted, viewer: User | None) -> tuple[list[Character], str | None]:
    """One page, and the cursor of the next. Raises `Invalid` for a cursor that is not ours."""
    found = _visible(wanted, viewer)
    if wanted.tag:
        found = found.filter(tags__contains=text.tags_of([wanted.tag]))
    if wanted.q.strip():
        found = found.filter(_matches(wanted.q))
    column = _COLUMNS[wanted.sort]
    down = wanted.sort is not Sort.NAME
    if wanted.cursor:
        value, last_id = _read_cursor(wanted.cursor, wanted.sort)
        step = "lt" if down else "gt"
        same = Q(**{column: value, f"id__{step}": last_id})
        # the first condition alone can be answered from the index; the second is exact
        found = found.filter(**{f"{column}__{step}e": value})
        found = found.filter(Q(**{f"{column}__{step}": value}) | same)
    mark = "-" if down else ""
    rows = list(found.order_by(f"{mark}{column}", f"{mark}id")[: wanted.limit + 1])
    if len(rows) <= wanted.limit:
        return rows, None
    rows = rows[: wanted.limit]
    return rows, _cursor(wanted.sort, rows[-1])


def visible(slug: str, viewer: User | None) -> Character:
    """A character with its current version, if the viewer may see it. Raises `NotFound`."""
    if text.is_slug(slug):
        found = (
            Character.objects.select_related("owner", "current")
            .defer("search")
            .filter(slug=slug, deleted_at=None)
            .first()
        )
        mine = found is not None and viewer is not None and found.owner_id == viewer.id
        if found is not None and (mine or found.visibility != Visibility.PRIVATE):
            return found
    raise NotFound("There is no such character, or it is private.")


def owned(slug: str, owner: User) -> Character:
    """A character of this user's. Raises `NotFound` for one that is somebody else's."""
    found = visible(slug, owner)
    if found.owner_id != owner.id:
        raise NotFound("You have no such character.")
    return found


def _visible(wanted: Wanted, viewer: User | None) -> QuerySet[Character]:
    found = Character.objects.select_related("owner").only(*_SHOWN).filter(deleted_at=None)
    if wanted.owner == ME:
        if viewer is None:
            raise NotSignedIn("Sign in to see your own characters.")
        return found.filter(owner=viewer)
    if wanted.owner and viewer is not None and wanted.owner.lower() == viewer.name.lower():
        return found.filter(owner=viewer)
    if wanted.owner:
        found = found.filter(owner=User.objects.named(wanted.owner)[:1])
    return found.filter(visibility=Visibility.PUBLIC)


def _matches(q: str) -> Q:
    """Every word begins a word of the character's texts, or the whole begins its name."""
    words = text.words_of(q)
    by_name = Q(name_lower__startswith=q.strip().lower())
    if not words:
        return by_name
    query = SearchQuery(
        " & ".join(f"'{word}':*" for word in words), config="simple", search_type="raw"
    )
    return Q(search=query) | by_name


def _cursor(sort: Sort, row: Character) -> str:
    value: Any = getattr(row, _COLUMNS[sort])
    if isinstance(value, datetime):
        value = value.isoformat()
    return base64.urlsafe_b64encode(json.dumps([sort, value, str(row.id)]).encode()).decode()


def _read_cursor(cursor: str, sort: Sort) -> tuple[Any, UUID]:
    try:
        kind, value, last = json.loads(base64.b64decode(cursor.encode(), b"-_", validate=True))
        if kind != sort:
            raise Invalid("cursor", f"belongs to a list sorted by {kind}, not by {sort}")
        last_id = UUID(last)
        match sort:
            case Sort.RECENT:
                return _moment(value), last_id
            case Sort.NAME if isinstance(value, str) and not text.fault(value):
                return value, last_id
            case Sort.POPULAR if type(value) is int and 0 <= value < 2**63:
                return value, last_id
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid("cursor", "is not one that a list gave") from error
    raise Invalid("cursor", "is not one that a list gave")


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone")
    return moment


class TagCounts:
    """The most used tags of public characters, counted at most every `TAGS_KEPT_S` seconds."""

    def __init__(self) -> None:
        self._counted_at = -TAGS_KEPT_S
        self._tags: list[tuple[str, int]] = []

    def top(self, limit: int = 100) -> list[tuple[str, int]]:
        """Tags with their counts, the most used first, equal ones by name."""
        now = time.monotonic()
        if now - self._counted_at >= TAGS_KEPT_S:
            self._tags = self._count(limit)
            self._counted_at = now
        return self._tags

    def forget(self) -> None:
        """Count anew at the next call."""
        self._counted_at = -TAGS_KEPT_S

    def _count(self, limit: int) -> list[tuple[str, int]]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tag, count(*) FROM core_character, unnest(tags) AS tag "
                "WHERE visibility = 'public' AND deleted_at IS NULL "
                "GROUP BY tag ORDER BY count(*) DESC, tag LIMIT %s",
                [limit],
            )
            return [(tag, count) for tag, count in cursor.fetchall()]


tag_counts = TagCounts()
