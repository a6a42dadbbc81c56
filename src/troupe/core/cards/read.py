"""Which kind of card file is this? The bytes decide, never the file's name."""

from __future__ import annotations

from . import charx, png
from .card import Card, from_json
from .errors import CardDamaged, CardTooLarge
from .limits import DEFAULT, Limits


def parse(data: bytes, limits: Limits = DEFAULT) -> Card:
    """Read a card from a PNG, JSON or CHARX file.

    Raises `CardTooLarge`, `CardDamaged` or `CardInvalid`.
    """
    if len(data) > limits.file:
        raise CardTooLarge(f"the file is over {limits.file // (1024 * 1024)} MB")
    if not data:
        raise CardDamaged("the file is empty")
    if data.startswith(png.SIGNATURE):
        return from_json(png.card_text(data, limits), limits, avatar=data)
    if data.startswith(charx.MAGIC) or (data[:3] == b"\xff\xd8\xff" and charx.MAGIC in data):
        text, avatar = charx.card_text(data, limits)  # a JPEG may have a CHARX behind it
        return from_json(text, limits, avatar)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CardDamaged(
            f"neither a PNG nor a CHARX file, and not UTF-8 text ({error.reason} at byte "
            f"{error.start})"
        ) from error
    return from_json(text, limits)
