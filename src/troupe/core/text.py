"""Rules for texts that strangers send: what can be kept, names, slugs, tags. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from . import limits

USER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
GUEST_PREFIX = "guest-"


def fault(value: str) -> str | None:
    """Why a text cannot be kept in PostgreSQL as UTF-8; `None` if it can."""
    if "\0" in value:
        return "holds a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return f"holds half a character (a lone surrogate) at position {error.start}"
    return None


def is_slug(value: str) -> bool:
    """Whether this can be a character's slug at all."""
    return len(value) <= limits.SLUG and SLUG.fullmatch(value) is not None


def slug_of(name: str) -> str:
    """A slug for a name: ASCII letters, digits and hyphens; `character` if nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return slug[: limits.SLUG - 20].strip("-") or "character"


def tags_of(values: Iterable[str]) -> list[str]:
    """Tags as they are kept: NFC, lower case, one space between words, each once, in order."""
    tags = (" ".join(unicodedata.normalize("NFC", value.lower()).split()) for value in values)
    return list(dict.fromkeys(tag for tag in tags if tag))


def words_of(query: str) -> list[str]:
    """The words of a search, for PostgreSQL's full text search; at most ten."""
    return re.findall(r"\w+", query.lower())[:10]
