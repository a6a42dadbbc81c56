"""The request id: taken over when sane, made when not, sent back, sent on."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from troupe.telemetry import request_id

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _seen(_: Request) -> JSONResponse:
    return JSONResponse(request_id.headers(), headers={"X-Request-ID": "from the app"})


async def _get(headers: dict[str, str] | dict[str, bytes]) -> httpx.Response:
    app = request_id.RequestIdMiddleware(Starlette(routes=[Route("/", _seen)]))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get("/", headers=headers)


async def test_a_sane_id_is_taken_over_and_sent_back_once() -> None:
    answer = await _get({"X-Request-ID": "abc-1"})
    assert answer.json()["x-request-id"] == "abc-1"
    assert answer.headers.get_list("x-request-id") == ["abc-1"]


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "é", 'a"b'])
async def test_an_id_that_is_not_sane_is_replaced(bad: str) -> None:
    answer = await _get({"X-Request-ID": bad.encode("latin-1")})
    assert len(answer.headers["x-request-id"]) == 32


async def test_a_trace_context_is_passed_on_only_when_well_formed() -> None:
    assert (await _get({"traceparent": TRACE})).json()["traceparent"] == TRACE
    assert "traceparent" not in (await _get({"traceparent": "00-nonsense"})).json()


async def test_nothing_leaks_from_one_request_to_the_next() -> None:
    await _get({"X-Request-ID": "abc-1", "traceparent": TRACE})
    assert request_id.headers() == {}
    with request_id.bound() as given:
        assert request_id.headers() == {"x-request-id": given}
    assert request_id.current.get() is None
