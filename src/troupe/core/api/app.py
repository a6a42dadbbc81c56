"""Puts the routers together, with JSON read and written by orjson and errors in one shape."""

from __future__ import annotations

from typing import Any, cast

import orjson
from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.renderers import BaseRenderer

from . import cards, characters, keys, personas, preferences, problems, session, views

PREFIX = "/api/v1"
DESCRIPTION = (
    "Accounts, characters, personas and keys. Sign-in is by session cookie; every request but GET "
    "needs the header X-CSRFToken with the token that GET /api/v1/session gives."
)


class StrictParser(Parser):
    """JSON as the standard has it: UTF-8, no NaN, bounded depth."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """The body's JSON value."""
        return cast("dict[str, Any]", orjson.loads(request.body))


class Renderer(BaseRenderer):
    """JSON by orjson."""

    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:  # noqa: ARG002
        """The value as JSON."""
        return orjson.dumps(data)


class Api(NinjaAPI):
    """The API. Its document says of every operation how errors look."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._documents: dict[str, OpenAPISchema] = {}

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """The OpenAPI document, with the one error answer added to each operation.

        It takes a twentieth of a second to make, so it is made once.
        """
        key = str(sorted(options.items()))
        if key not in self._documents:
            self._documents[key] = self._document(**options)
        return self._documents[key]

    def _document(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        error = {
            "description": "Refused; nothing was changed.",
            "content": {"application/json": {"schema": {"$ref": _ref("ErrorView")}}},
        }
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"]["default"] = error
                _drop_form_defaults(operation)
        schema = views.ErrorView.model_json_schema(ref_template=_ref("{model}"))
        document["components"]["schemas"] |= schema.pop("$defs") | {"ErrorView": schema}
        return document


def _drop_form_defaults(operation: dict[str, Any]) -> None:
    """What a form may leave out is optional to clients, as it is in JSON bodies."""
    for kind in operation.get("requestBody", {}).get("content", {}).values():
        for field in kind["schema"].get("properties", {}).values():
            field.pop("default", None)


def _ref(model: str) -> str:
    return f"#/components/schemas/{model}"


def make() -> Api:
    """The API with all its routers."""
    api = Api(
        title="Troupe",
        version="1",
        description=DESCRIPTION,
        parser=StrictParser(),
        renderer=Renderer(),
        urls_namespace="api",
    )
    for module in (session, cards, characters, personas, preferences, keys):
        # /characters/import must be found before /characters/{slug}
        api.add_router("", module.router)
    for error in problems.HANDLED:
        api.add_exception_handler(error, problems.handle)
    return api


api = make()
