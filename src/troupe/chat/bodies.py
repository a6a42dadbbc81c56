"""Reading HTTP bodies and queries that strangers send: bounded, strict, with clear errors."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from .errors import BadFrame, TooLong
from .frames import explain

MAX_BODY_BYTES = 512 * 1024

Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body. Raises `TooLong` before more than `limit` bytes are held."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise TooLong(f"A body may have at most {limit} bytes.")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise TooLong(f"A body may have at most {limit} bytes.")
    except ClientDisconnect:
        raise BadFrame("The body broke off.") from None
    return bytes(body)


def parse(model: type[Model], body: bytes) -> Model:
    """The body as a model. Raises `BadFrame`, which says what is wrong with which field."""
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise BadFrame(explain(error)) from error


def query(model: type[Model], request: Request) -> Model:
    """The query as a model. Raises `BadFrame`."""
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise BadFrame(explain(error)) from error
