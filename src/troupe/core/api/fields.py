"""Types of what comes in: bounded texts that PostgreSQL can keep, and objects without strangers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from troupe.core import limits, text


def _plain(value: str) -> str:
    fault = text.fault(value)
    if fault:
        raise ValueError(fault)
    return value


def _trimmed(least: int, most: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=most)


Plain = AfterValidator(_plain)
UserName = Annotated[str, _trimmed(limits.USER_NAME_MIN, limits.USER_NAME), Plain]
LoginName = Annotated[str, _trimmed(1, limits.EMAIL), Plain]
Email = Annotated[str, _trimmed(0, limits.EMAIL), Plain]
Password = Annotated[str, StringConstraints(min_length=1, max_length=limits.PASSWORD), Plain]
Name = Annotated[str, _trimmed(limits.NAME_MIN, limits.NAME), Plain]
KeptName = Annotated[str, _trimmed(1, limits.IMPORTED_NAME), Plain]
Tagline = Annotated[str, _trimmed(0, limits.TAGLINE), Plain]
Description = Annotated[str, StringConstraints(max_length=limits.DESCRIPTION), Plain]
Greeting = Annotated[str, StringConstraints(max_length=limits.GREETING), Plain]
KeptGreeting = Annotated[str, StringConstraints(max_length=limits.IMPORTED_GREETING), Plain]
Definition = Annotated[str, StringConstraints(max_length=limits.DEFINITION), Plain]
KeptDefinition = Annotated[str, StringConstraints(max_length=limits.IMPORTED_DEFINITION), Plain]
Examples = Annotated[str, StringConstraints(max_length=limits.EXAMPLES), Plain]
KeptExamples = Annotated[str, StringConstraints(max_length=limits.IMPORTED_EXAMPLES), Plain]
Tag = Annotated[str, _trimmed(1, limits.TAG), Plain]
PersonaName = Annotated[str, _trimmed(1, limits.PERSONA_NAME), Plain]
PersonaText = Annotated[str, StringConstraints(max_length=limits.PERSONA_DESCRIPTION), Plain]
ModelName = Annotated[str, _trimmed(0, limits.MODEL_NAME), Plain]
KeyName = Annotated[str, _trimmed(1, limits.KEY_NAME), Plain]
Cursor = Annotated[str, StringConstraints(max_length=limits.CURSOR), Plain]
Query = Annotated[str, StringConstraints(max_length=limits.QUERY), Plain]


def _without_defaults(schema: dict[str, Any]) -> None:
    """A field that may be left out is optional to clients; what is then assumed is not theirs."""
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class Body(BaseModel):
    """A JSON body. Keys that are not known are errors."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)
