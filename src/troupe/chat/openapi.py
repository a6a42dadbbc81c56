"""The OpenAPI document of `/chat/v1`, made from the endpoint table and the types it names.

`python -m troupe.chat.openapi [FILE]` writes it (web/openapi/chat.json is what the web app's
types are made from; a test holds the two equal).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from .endpoints import ENDPOINTS, PREFIX, Endpoint
from .frames import AnyServerFrame, ClientFrame
from .views import ErrorView

REF = "#/components/schemas/{model}"
DESCRIPTION = (
    "Chats over HTTP. The socket at /chat/v1/socket carries ClientFrame and ServerFrame as JSON "
    "text frames; docs/protocol.md explains both."
)
_CLIENT: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)
_SERVER: TypeAdapter[AnyServerFrame] = TypeAdapter(AnyServerFrame)
UNIONS: tuple[tuple[str, TypeAdapter[Any], JsonSchemaMode], ...] = (
    ("ClientFrame", _CLIENT, "validation"),
    ("ServerFrame", _SERVER, "serialization"),
)
_PATH_TYPES = {"branch": "integer", "seq": "integer"}


def document() -> dict[str, Any]:
    """The whole OpenAPI 3.1 document."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        operations = paths.setdefault(PREFIX + endpoint.path, {})
        operations[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Troupe chat", "version": "1", "description": DESCRIPTION},
        "security": [{"chatToken": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"chatToken": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
        },
    }


def text() -> str:
    """The document as it is kept in web/openapi/chat.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _schemas() -> dict[str, Any]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ErrorView, "serialization")]
    for endpoint in ENDPOINTS:
        if endpoint.body:
            models.append((endpoint.body, "validation"))
        if endpoint.answer:
            models.append((endpoint.answer, "serialization"))
    _, listed = models_json_schema(models, ref_template=REF)
    schemas: dict[str, Any] = dict(listed["$defs"])
    for name, adapter, mode in UNIONS:
        schema = adapter.json_schema(ref_template=REF, mode=mode)
        schemas.update(schema.pop("$defs"))
        schemas[name] = schema
    return schemas


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint),
        "responses": {
            str(endpoint.status): _answer(endpoint),
            "default": {
                "description": "Refused; nothing was changed.",
                "content": {"application/json": {"schema": _ref(ErrorView)}},
            },
        },
    }
    if endpoint.body:
        operation["requestBody"] = {
            "required": not endpoint.body_optional,
            "content": {"application/json": {"schema": _ref(endpoint.body)}},
        }
    return operation


def _answer(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.stream:
        schema: dict[str, Any] = {"$ref": REF.format(model="ServerFrame")}
        return {
            "description": "A stream of frames, each an event named by its type.",
            "content": {"text/event-stream": {"schema": schema}},
        }
    if endpoint.answer is None:
        return {"description": "Done."}
    return {
        "description": endpoint.summary,
        "content": {"application/json": {"schema": _ref(endpoint.answer)}},
    }


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": _PATH_TYPES.get(name, "string")},
        }
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    if endpoint.query:
        schema = endpoint.query.model_json_schema()
        for name, field in schema["properties"].items():
            parameters.append({"name": name, "in": "query", "required": False, "schema": field})
    return parameters


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": REF.format(model=model.__name__)}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text(), encoding="utf-8")
    else:
        sys.stdout.write(text())
