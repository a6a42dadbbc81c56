"""The fields of a request that ask for an answer of a given form: OpenAI's `response_format` and
vLLM's `structured_outputs`. Called by `schemas.py`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from troupe.engine.errors import InvalidRequest
from troupe.engine.types import Structure

MAX_CHOICES = 1024
_ANY_OBJECT = '{"type":"object"}'


class NamedSchema(BaseModel):
    """`response_format.json_schema`. Every schema is held to strictly, whatever `strict` says."""

    model_config = ConfigDict(strict=True, extra="ignore", populate_by_name=True)
    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """`response_format` of OpenAI."""

    model_config = ConfigDict(strict=True, extra="ignore")
    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    def structure(self) -> Structure | None:
        """None for plain text. Raises `InvalidRequest`."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return Structure("json", _ANY_OBJECT, "response_format")
        if self.json_schema is None:
            raise InvalidRequest("response_format has no json_schema", "response_format")
        return Structure("json", json.dumps(self.json_schema.schema_), "response_format")


class StructuredOutputs(BaseModel):
    """`structured_outputs` of vLLM: exactly one of its fields."""

    model_config = ConfigDict(strict=True, extra="forbid")
    json_: str | dict[str, Any] | bool | None = Field(None, alias="json")
    json_object: bool | None = None
    regex: str | None = None
    choice: Annotated[list[str], Field(min_length=1, max_length=MAX_CHOICES)] | None = None
    grammar: str | None = None

    def structure(self) -> Structure:
        """Raises `InvalidRequest` unless it says one thing."""
        field = "structured_outputs"
        found: list[Structure] = []
        if self.json_ is not None:
            schema = self.json_ if isinstance(self.json_, str) else json.dumps(self.json_)
            found.append(Structure("json", schema, field))
        if self.json_object:
            found.append(Structure("json", _ANY_OBJECT, field))
        if self.regex is not None:
            found.append(Structure("regex", self.regex, field))
        if self.choice is not None:
            found.append(Structure("choice", json.dumps(self.choice), field))
        if self.grammar is not None:
            found.append(Structure("grammar", self.grammar, field))
        if len(found) != 1:
            raise InvalidRequest(
                "structured_outputs must have one of json, json_object, regex, choice and grammar",
                "structured_outputs",
            )
        return found[0]


def structure_of(
    response_format: ResponseFormat | None, structured_outputs: StructuredOutputs | None
) -> Structure | None:
    """What a request's fields ask for. Raises `InvalidRequest` if they ask for two forms."""
    formed = None if response_format is None else response_format.structure()
    if structured_outputs is None:
        return formed
    if formed is not None:
        raise InvalidRequest(
            "response_format and structured_outputs ask for two forms; send one",
            "structured_outputs",
        )
    return structured_outputs.structure()
