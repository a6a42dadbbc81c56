"""A character card as Troupe sees it, and its mapping to and from the three specifications.

| here | in a V2 or V3 card |
|---|---|
| definition | `description`, `personality` and `scenario`, joined |
| description | `creator_notes`: what people read before they chat |
| greeting, alternate_greetings | `first_mes`, `alternate_greetings` |
| example_dialogues | `mes_example` |
| tagline | `extensions.troupe.tagline` |

`raw` is the card's JSON as it was read. Writing starts from it and replaces only the members whose
meaning was changed since, so that a card which nobody edited comes out as it went in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from . import rawjson
from .errors import CardInvalid, CardTooLarge
from .limits import DEFAULT, Limits


class Spec(StrEnum):
    """Versions of the specification that can be written."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


_SPEC_NAMES = {
    Spec.V2: {"spec": "chara_card_v2", "spec_version": "2.0"},
    Spec.V3: {"spec": "chara_card_v3", "spec_version": "3.0"},
}
_V1_FIELDS = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
_TEXTS = (*_V1_FIELDS, "creator_notes", "system_prompt", "post_history_instructions", "creator",
          "character_version")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """A card. Texts are as written, macros (`{{char}}`, `{{user}}`) not replaced."""

    name: str
    tagline: str = ""
    description: str = ""
    greeting: str = ""
    alternate_greetings: tuple[str, ...] = ()
    definition: str = ""
    example_dialogues: str = ""
    tags: tuple[str, ...] = ()
    creator: str = ""
    raw: str = ""  # the JSON that it was read from; empty for a card made here
    avatar: bytes | None = None  # the picture found with it, undecoded


def from_json(text: str, limits: Limits = DEFAULT, avatar: bytes | None = None) -> Card:
    """Read a card of any version from its JSON text.

    Raises `CardInvalid` or `CardTooLarge`, which name the member at fault.
    """
    if len(text) > limits.json:
        raise CardTooLarge(f"the card's text is over {limits.json} characters")
    rawjson.check_depth(text, limits.depth)
    top = rawjson.members(text, "card")
    data, where = _data_of(top)
    texts = {key: _text(data, key, where) for key in _TEXTS}
    if not texts["name"].strip():
        raise CardInvalid("a card must have a name", f"{where}name")
    return Card(
        name=texts["name"].strip(),
        tagline=_ours(data, where).get("tagline", ""),
        description=texts["creator_notes"],
        greeting=texts["first_mes"],
        alternate_greetings=_texts(data, "alternate_greetings", where, limits),
        definition=_definition(texts),
        example_dialogues=texts["mes_example"],
        tags=_texts(data, "tags", where, limits),
        creator=texts["creator"],
        raw=text,
        avatar=avatar,
    )


def book_of(text: str) -> dict[str, Any]:
    """The `character_book` of a card's JSON text, decoded; empty if it has none. Raises
    `CardInvalid`."""
    data, where = _data_of(rawjson.members(text, "card"))
    book = rawjson.decode(data.get("character_book", "null"), f"{where}character_book")
    return book if isinstance(book, dict) else {}


def to_json(card: Card, spec: Spec = Spec.V2) -> str:
    """Write a card as JSON text. Members that this card does not hold are kept from `raw`."""
    top = rawjson.members(card.raw, "card") if card.raw else {}
    data, where = _data_of(top)
    data = _updated(card, dict(data), where, spec)
    if spec is Spec.V1:
        return rawjson.build({**{k: v for k, v in top.items() if k not in _HEAD}, **data})
    flat = where == ""  # a V1 card: its members move into `data`
    rest = {} if flat else {key: value for key, value in top.items() if key not in _HEAD}
    for key in _V1_FIELDS:  # many V2 writers repeat the V1 members beside `data`
        if key in rest:
            rest[key] = data[key]
    head = {key: rawjson.dump(value) for key, value in _SPEC_NAMES[spec].items()}
    return rawjson.build({**head, "data": rawjson.build(data), **rest})


_HEAD = ("spec", "spec_version", "data")


def _data_of(top: dict[str, str]) -> tuple[dict[str, str], str]:
    """The members that describe the character, and the JSON path before them."""
    if "data" in top and ("spec" in top or "name" not in top):
        return rawjson.members(top["data"], "data"), "data."
    return {key: value for key, value in top.items() if key not in _HEAD}, ""


def _updated(card: Card, data: dict[str, str], where: str, spec: Spec) -> dict[str, str]:
    """`data` with every member whose meaning differs from the card's replaced."""
    old = {key: _text(data, key, where) for key in _TEXTS}
    changes: dict[str, Any] = {}
    if old["name"].strip() != card.name:
        changes["name"] = card.name
    if _definition(old) != card.definition:
        changes |= {"description": card.definition, "personality": "", "scenario": ""}
    texts = {
        "first_mes": card.greeting,
        "mes_example": card.example_dialogues,
        "creator_notes": card.description,
        "creator": card.creator,
    }
    changes |= {key: value for key, value in texts.items() if old[key] != value}
    lists = {"alternate_greetings": card.alternate_greetings, "tags": card.tags}
    for key, values in lists.items():
        if _texts(data, key, where, DEFAULT) != values:
            changes[key] = list(values)
    data |= {key: rawjson.dump(value) for key, value in changes.items()}
    if spec is not Spec.V1:
        _fill(data, spec)
    if _ours(data, where).get("tagline", "") != card.tagline:
        extensions = rawjson.members(data["extensions"], "extensions") if _has(data) else {}
        extensions["troupe"] = rawjson.dump({**_ours(data, where), "tagline": card.tagline})
        data["extensions"] = rawjson.build(extensions)
    return data


def _fill(data: dict[str, str], spec: Spec) -> None:
    """Add the members that the specification requires."""
    for key in _TEXTS:
        data.setdefault(key, '""')
    data.setdefault("alternate_greetings", "[]")
    data.setdefault("tags", "[]")
    data.setdefault("extensions", "{}")
    if spec is Spec.V3:
        data.setdefault("group_only_greetings", "[]")


def _definition(texts: dict[str, str]) -> str:
    """One text from the three in which cards describe a character."""
    parts = [texts["description"]]
    if texts["personality"]:
        parts.append(f"Personality: {texts['personality']}")
    if texts["scenario"]:
        parts.append(f"Scenario: {texts['scenario']}")
    return "\n\n".join(part for part in parts if part)


def _has(data: dict[str, str]) -> bool:
    return data.get("extensions", "null") != "null"


def _ours(data: dict[str, str], where: str) -> dict[str, Any]:
    """Troupe's own extension, checked."""
    if not _has(data):
        return {}
    extensions = rawjson.members(data["extensions"], f"{where}extensions")
    if "troupe" not in extensions:
        return {}
    path = f"{where}extensions.troupe"
    ours = rawjson.decode(extensions["troupe"], path)
    if not isinstance(ours, dict) or not isinstance(ours.get("tagline", ""), str):
        raise CardInvalid("must be an object whose tagline is text", path)
    _check_text(ours.get("tagline", ""), f"{path}.tagline")
    return ours


def _text(data: dict[str, str], key: str, where: str) -> str:
    """A member that must be text; null and absent ones count as empty."""
    value = rawjson.decode(data.get(key, "null"), where + key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise CardInvalid(f"must be text, not {type(value).__name__}", where + key)
    _check_text(value, where + key)
    return value


def _texts(data: dict[str, str], key: str, where: str, limits: Limits) -> tuple[str, ...]:
    values = rawjson.decode(data.get(key, "null"), where + key)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise CardInvalid("must be a list of texts", where + key)
    if len(values) > limits.items:
        raise CardTooLarge(f"has more than {limits.items} entries", where + key)
    for index, value in enumerate(values):
        _check_text(value, f"{where}{key}[{index}]")
    return tuple(values)


def _check_text(value: str, where: str) -> None:
    """Refuse what cannot be kept as text: NUL, and halves of surrogate pairs."""
    if "\0" in value:
        raise CardInvalid("holds a NUL character", where)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise CardInvalid(f"holds half a character at position {error.start}", where) from error
