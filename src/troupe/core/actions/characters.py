"""Creating characters, publishing versions of them, hiding and deleting them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.contrib.postgres.search import SearchVector
from django.db import IntegrityError, models, transaction
from django.db.models import Value
from django.utils import timezone

from troupe.core import limits, text
from troupe.core.content import Content
from troupe.core.errors import AccountNeeded, Conflict, NotFound
from troupe.core.models import Character, CharacterVersion, ImportedCard, User, Visibility

from .audit import record

_RESERVED = frozenset({"new", "import", "edit", "mine"})  # addresses of the app's own pages
_TRIES = 5


def create(
    owner: User,
    content: Content,
    visibility: Visibility,
    imported: ImportedCard | None = None,
    slug: str = "",
) -> Character:
    """A character with its first version. `imported` is a card not yet saved.

    Raises `AccountNeeded` for a guest who would publish, `Conflict` at the limit on their number.
    """
    _check_visibility(owner, visibility)
    for attempt in range(_TRIES):
        wanted = slug or _slug(content.name, unique=attempt > 0)
        character = Character(owner=owner, slug=wanted, visibility=visibility)
        try:
            with transaction.atomic():
                _check_number(owner)
                if imported is not None:
                    imported.save(force_insert=True)
                _publish(character, content, 1, imported)
                record(owner, "character.create", character.id, slug=wanted)
        except IntegrityError:
            continue  # somebody took the slug between the look and the write
        return character
    raise Conflict(f"The address {slug or text.slug_of(content.name)} is taken.")


def change(
    actor: User,
    character: Character,
    changes: Mapping[str, Any],
    visibility: Visibility | None = None,
) -> Character:
    """Publish a version with some fields replaced, or change who may see the character, or both.

    Raises `Invalid` for a field over its limit, `AccountNeeded` for a guest who would publish.
    """
    if visibility is not None and visibility != character.visibility:
        _check_visibility(actor, visibility)
    with transaction.atomic():
        character = _locked(character)
        current = current_of(character)
        content = content_of(current)
        new = content.changed(dict(changes))
        if visibility is not None and visibility != character.visibility:
            record(actor, "character.visibility", character.id, to=visibility.value)
            character.visibility = visibility
            character.updated_at = timezone.now()
            character.save(update_fields=["visibility", "updated_at"])
        if new != content:
            number = current.number + 1
            _publish(character, new, number, current.imported)
            record(actor, "character.publish", character.id, version=number)
    return character


def delete(actor: User, character: Character) -> None:
    """Take a character out of every list. Chats that hold a version of it can go on."""
    with transaction.atomic():
        character = _locked(character)
        character.deleted_at = timezone.now()
        character.save(update_fields=["deleted_at"])
        record(actor, "character.delete", character.id, slug=character.slug)


def current_of(character: Character) -> CharacterVersion:
    """The newest version. A character always has one once it was created."""
    assert character.current is not None
    return character.current


def content_of(version: CharacterVersion) -> Content:
    """What a version says, as a value."""
    return Content(
        name=version.name,
        tagline=version.tagline,
        description=version.description,
        greeting=version.greeting,
        alternate_greetings=tuple(version.alternate_greetings),
        definition=version.definition,
        example_dialogues=version.example_dialogues,
        tags=tuple(version.tags),
        avatar=version.avatar,
    )


def _locked(character: Character) -> Character:
    """The character as it now is, held against other changes until the transaction ends."""
    found = (
        Character.objects.select_for_update(of=("self",))
        .select_related("current", "owner")
        .filter(id=character.id, deleted_at=None)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no character {character.slug}.")
    return found


def _publish(
    character: Character, content: Content, number: int, imported: ImportedCard | None
) -> None:
    """Write a version and make it the current one, within the caller's transaction."""
    character.name = content.name
    character.name_lower = content.name.lower()
    character.tagline = content.tagline
    character.avatar = content.avatar
    character.tags = list(content.tags)
    character.updated_at = timezone.now()
    character.search = _vector(content)
    if number == 1:
        character.save(force_insert=True)
    version = CharacterVersion(
        character=character, number=number, imported=imported, **content.values()
    )
    version.save(force_insert=True)
    character.current = version
    character.save(force_update=True)
    del character.search  # an expression, not a value: read again if it is ever asked for


def _vector(content: Content) -> Any:
    """What a search finds a character by: name first, then tags and tagline, then the rest."""
    parts = (
        (content.name, "A"),
        (" ".join(content.tags), "B"),
        (content.tagline, "B"),
        (content.description, "C"),
    )
    vectors = [
        SearchVector(Value(part, models.TextField()), weight=weight, config="simple")
        for part, weight in parts
    ]
    return vectors[0] + vectors[1] + vectors[2] + vectors[3]


def _check_visibility(actor: User, visibility: Visibility) -> None:
    if actor.guest and visibility == Visibility.PUBLIC:
        raise AccountNeeded(
            "Register to make a character public.", {"visibility": "not for guests"}
        )


def _check_number(owner: User) -> None:
    most = limits.CHARACTERS_A_GUEST if owner.guest else limits.CHARACTERS_A_USER
    if Character.objects.filter(owner=owner, deleted_at=None).count() >= most:
        raise Conflict(f"You have {most} characters, which is the most; delete one first.")


def _slug(name: str, unique: bool) -> str:
    slug = text.slug_of(name)
    if unique or slug in _RESERVED or Character.objects.filter(slug=slug).exists():
        return f"{slug}-{secrets.token_hex(3)}"
    return slug
