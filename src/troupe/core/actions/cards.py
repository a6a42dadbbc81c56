"""Characters from card files and back, losing nothing of what a card holds.

A version that was imported keeps its card's JSON text. An export starts from that text and changes
only what was edited here since, so that texts which were shortened to fit a list (tags, tagline,
description) come out whole.
"""

from __future__ import annotations

from dataclasses import fields, replace

from troupe.core import limits, media, text
from troupe.core.cards import (
    Card,
    CardTooLarge,
    Spec,
    lorebook,
    parse,
    to_charx,
    to_json,
    to_png,
)
from troupe.core.cards.limits import Limits
from troupe.core.content import Content
from troupe.core.models import Character, CharacterVersion, ImportedCard, User, Visibility

from . import characters

_CHARX = (b"PK\x03\x04", b"\xff\xd8\xff")  # a zip file, or one behind a JPEG
_LONGEST = {
    "name": limits.IMPORTED_NAME,
    "greeting": limits.IMPORTED_GREETING,
    "definition": limits.IMPORTED_DEFINITION,
    "example_dialogues": limits.IMPORTED_EXAMPLES,
}


def import_card(owner: User, data: bytes, visibility: Visibility, most_bytes: int) -> Character:
    """A character from a PNG, JSON or CHARX file.

    Raises `CardError` for what is no card or over a limit, `Invalid` for a damaged picture.
    """
    card = parse(data, Limits(file=most_bytes))
    _check(card)
    content = content_of(card)
    if card.avatar is not None:
        content = replace(content, avatar=media.keep_avatar(card.avatar))
    file = media.keep_card_file(data) if data.startswith(_CHARX) else ""
    kept = ImportedCard(text=card.raw, lorebook=lorebook(card.raw), file=file)
    return characters.create(owner, content, visibility, kept)


def content_of(card: Card) -> Content:
    """What a version says that was imported from this card, without its picture."""
    return Content(
        name=card.name,
        tagline=card.tagline[: limits.TAGLINE],
        description=card.description[: limits.DESCRIPTION],
        greeting=card.greeting,
        alternate_greetings=card.alternate_greetings,
        definition=card.definition,
        example_dialogues=card.example_dialogues,
        tags=tuple(tag for tag in text.tags_of(card.tags) if len(tag) <= limits.TAG)[: limits.TAGS],
    )


def card_of(version: CharacterVersion) -> Card:
    """The version as a card: the one it was imported from, with what was edited since."""
    now = characters.content_of(version)
    shared = [field.name for field in fields(Content) if field.name != "avatar"]
    if version.imported is None:
        return Card(**{name: getattr(now, name) for name in shared}, creator="Troupe")
    card = parse(version.imported.text.encode())
    then = content_of(card)
    edited = {
        name: value for name in shared if (value := getattr(now, name)) != getattr(then, name)
    }
    return replace(card, **edited)


def export_json(version: CharacterVersion, spec: Spec) -> bytes:
    """The card as JSON."""
    return to_json(card_of(version), spec).encode()


def export_png(version: CharacterVersion) -> bytes:
    """The card in its picture, for readers of V2 and of V3."""
    return to_png(card_of(version), media.png_of(version.avatar))


def export_charx(version: CharacterVersion) -> bytes:
    """The card as CHARX, with the other entries of the file it was imported from."""
    file = version.imported.file if version.imported is not None else ""
    original = media.read_card_file(file) if file else None
    return to_charx(card_of(version), media.png_of(version.avatar), original)


def _check(card: Card) -> None:
    for name, most in _LONGEST.items():
        if len(getattr(card, name)) > most:
            raise CardTooLarge(f"has over {most} characters", name)
    if len(card.alternate_greetings) > limits.IMPORTED_GREETINGS:
        raise CardTooLarge(f"has over {limits.IMPORTED_GREETINGS} entries", "alternate_greetings")
    for index, greeting in enumerate(card.alternate_greetings):
        if len(greeting) > limits.IMPORTED_GREETING:
            raise CardTooLarge(
                f"has over {limits.IMPORTED_GREETING} characters", f"alternate_greetings[{index}]"
            )
    texts = (card.greeting, card.definition, card.example_dialogues, *card.alternate_greetings)
    if sum(map(len, texts)) > limits.IMPORTED_TEXT:
        raise CardTooLarge(f"its texts have over {limits.IMPORTED_TEXT} characters together")
