"""What a version of a character says, as a value: made from input, compared, published. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from . import limits, text
from .errors import Invalid


@dataclass(frozen=True, slots=True)
class Content:
    """The texts and the picture of a version. `avatar` is a path under /media/, or empty."""

    name: str
    tagline: str = ""
    description: str = ""
    greeting: str = ""
    alternate_greetings: tuple[str, ...] = ()
    definition: str = ""
    example_dialogues: str = ""
    tags: tuple[str, ...] = ()
    avatar: str = ""

    def changed(self, changes: dict[str, Any]) -> Content:
        """This with some fields replaced. Only fields that really change are held to the limits.

        Raises `Invalid`, which names the field.
        """
        new = replace(self, **{key: _frozen(key, value) for key, value in changes.items()})
        for field in fields(new):
            if getattr(new, field.name) != getattr(self, field.name):
                _check(field.name, getattr(new, field.name))
        return new

    def values(self) -> dict[str, Any]:
        """The fields as a version's row holds them."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}


_LONGEST = {
    "name": limits.NAME,
    "tagline": limits.TAGLINE,
    "description": limits.DESCRIPTION,
    "greeting": limits.GREETING,
    "definition": limits.DEFINITION,
    "example_dialogues": limits.EXAMPLES,
}


def _frozen(key: str, value: Any) -> Any:
    if key == "tags":
        return tuple(text.tags_of(value))
    return tuple(value) if isinstance(value, list) else value


def _check(key: str, value: Any) -> None:
    if key in _LONGEST and len(value) > _LONGEST[key]:
        raise Invalid(key, f"has {len(value)} characters; at most {_LONGEST[key]} are allowed")
    if key == "name" and len(value) < limits.NAME_MIN:
        raise Invalid(key, f"must have at least {limits.NAME_MIN} characters")
    if key == "alternate_greetings":
        _check_list(key, value, limits.GREETINGS, limits.GREETING)
    if key == "tags":
        _check_list(key, value, limits.TAGS, limits.TAG)


def _check_list(key: str, values: tuple[str, ...], count: int, longest: int) -> None:
    if len(values) > count:
        raise Invalid(key, f"has {len(values)} entries; at most {count} are allowed")
    for index, value in enumerate(values):
        if len(value) > longest:
            raise Invalid(
                f"{key}.{index}", f"has {len(value)} characters; at most {longest} are allowed"
            )
