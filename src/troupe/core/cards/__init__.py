"""Character cards, V1 to V3, in PNG, JSON and CHARX: read, write, and lose nothing.

A library of its own: bytes in, `Card` out, and back. It knows no database, no HTTP, no Django.
What it does not understand it keeps as the very text it was read from.

Specifications: Character Card V2 (malfoyslastname/character-card-spec-v2) and V3
(kwaroran/character-card-spec-v3).

    card = parse(Path("mira.png").read_bytes())
    Path("mira.json").write_text(to_json(card, Spec.V3))
"""

from .book import lorebook
from .card import Card, Spec, to_json
from .charx import to_charx
from .errors import CardDamaged, CardError, CardInvalid, CardTooLarge
from .limits import Limits
from .png import to_png
from .read import parse

__all__ = [
    "Card",
    "CardDamaged",
    "CardError",
    "CardInvalid",
    "CardTooLarge",
    "Limits",
    "Spec",
    "lorebook",
    "parse",
    "to_charx",
    "to_json",
    "to_png",
]
