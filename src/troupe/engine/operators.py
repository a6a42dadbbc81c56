"""What an operator may do to a running engine over HTTP: read its dial, and turn it.

Who may: a program on this machine, or whoever has the operator's token. Called by the server.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import asdict, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from troupe.engine.engine import Engine
from troupe.engine.errors import NotAllowed
from troupe.engine.exchange import Bodies
from troupe.engine.schemas import parse
from troupe.engine.steps import MAX_ROWS

MAX_BODY = 4096  # bytes
# What a request has that did not come from a program on this machine: a proxy's or a browser's.
_FOREIGN = ("forwarded", "x-forwarded-for", "x-real-ip", "origin")


class DialBody(BaseModel):
    """`PUT /v1/engine/dial`; a field left out stays as it is."""

    model_config = ConfigDict(strict=True, extra="forbid")

    step_tokens: Annotated[int, Field(ge=1, le=MAX_ROWS)] | None = None
    queue_target_s: Annotated[float, Field(ge=0, le=86_400)] | None = None


class Operators:
    """The endpoints for operators, over one engine. `token`: None lets loopback in and nobody
    else; with a token, everybody must have it."""

    def __init__(self, engine: Engine, bodies: Bodies, token: str | None) -> None:
        self._engine = engine
        self._bodies = bodies
        self._token = token

    async def dial(self, request: Request) -> Response:
        """GET shows the dial, PUT turns it."""
        check_operator(request, self._token)
        if request.method == "PUT":
            body = parse(DialBody, await self._bodies.json(request, MAX_BODY))
            given: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
            if given.get("step_tokens", 1) is None:
                del given["step_tokens"]
            self._engine.turn(replace(self._engine.dial, **given))
        return JSONResponse(asdict(self._engine.dial))


def check_operator(request: Request, token: str | None) -> None:
    """Raises `NotAllowed` unless the request may do what operators do."""
    if token is not None:
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise NotAllowed("send the operator's token as `Authorization: Bearer`")
        return
    host = request.client.host if request.client is not None else ""
    if not _loopback(host) or any(name in request.headers for name in _FOREIGN):
        raise NotAllowed("only programs on the engine's own machine may ask this")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
