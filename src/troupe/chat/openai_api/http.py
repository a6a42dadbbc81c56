"""The endpoints under `/v1`: keys, limits, streaming. A caller who leaves aborts its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID, uuid4

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from troupe.chat import bodies
from troupe.chat.auth import bearer
from troupe.chat.catalog import ApiKey
from troupe.chat.errors import Unauthorized
from troupe.chat.generations import Generations
from troupe.chat.limits import Buckets
from troupe.chat.metrics import REFUSED, SENDS
from troupe.chat.sse import HEADERS, until_gone
from troupe.gateway.types import Delta, Finish, GenerationRequest
from troupe.telemetry import logs, request_id

from .answering import DONE, Shape
from .asking import Asking
from .errors import SERVER, OpenAIError, bad_key, no_model, openai_error, too_many
from .schemas import Body, ChatBody, CompletionBody, parse

log = logs.get(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024

Handler = Callable[[ApiKey, Request], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class OpenAIApi:
    """The handlers, and what they call."""

    asking: Asking
    generations: Generations
    buckets: Buckets

    def routes(self) -> list[Route]:
        """The routes under `/v1`."""
        return [
            self._route("/v1/chat/completions", self.chat, "POST"),
            self._route("/v1/completions", self.completion, "POST"),
            self._route("/v1/models", self.models, "GET"),
            self._route("/v1/models/{name:path}", self.model, "GET"),
        ]

    async def chat(self, owner: ApiKey, request: Request) -> ASGIApp:
        """Answer messages."""
        body = parse(ChatBody, await bodies.read(request, MAX_BODY_BYTES))
        return await self._answer(owner, body)

    async def completion(self, owner: ApiKey, request: Request) -> ASGIApp:
        """Go on with a text."""
        body = parse(CompletionBody, await bodies.read(request, MAX_BODY_BYTES))
        return await self._answer(owner, body)

    async def models(self, owner: ApiKey, _request: Request) -> ASGIApp:
        """All models and characters that this key may use."""
        data = [_model(name, by) for name, by in await self.asking.names(owner)]
        return _json({"object": "list", "data": data})

    async def model(self, owner: ApiKey, request: Request) -> ASGIApp:
        """One of them."""
        name = request.path_params["name"]
        by = await self.asking.offers(owner, name)
        if by is None:
            raise no_model(name)
        return _json(_model(name, by))

    async def owner(self, request: Request) -> ApiKey:
        """Whose key this is. Raises `OpenAIError`."""
        try:
            owner = await self.asking.catalog.api_key(bearer(request.headers.get("authorization")))
        except Unauthorized:
            owner = None
        if owner is None:
            raise bad_key()
        if not self.buckets.take(owner.user_id, time.monotonic()):
            raise too_many()
        return owner

    async def _answer(self, owner: ApiKey, body: Body) -> ASGIApp:
        answer_id = uuid4()
        request = await self.asking.request(owner, body, request_id.current.get() or answer_id.hex)
        shape = Shape(isinstance(body, ChatBody), answer_id.hex, int(time.time()), body.model)
        SENDS.labels("api").inc()
        options = body.stream_options
        return _Answer(
            self._events(answer_id, request),
            shape,
            bool(body.stream),
            options is not None and options.include_usage,
        )

    async def _events(
        self, answer_id: UUID, request: GenerationRequest
    ) -> AsyncGenerator[Delta | Finish, None]:
        """The answer, counted among the streams of this process."""
        slot = (answer_id, 0)
        self.generations.claim(slot)
        try:
            async with aclosing(self.asking.models.stream(request)) as events:
                async for event in events:
                    yield event
        finally:
            self.generations.release(slot)

    def _route(self, path: str, handler: Handler, method: str) -> Route:
        return Route(path, _Endpoint(self, handler), methods=[method])


class _Endpoint:
    """The ASGI application of one endpoint."""

    def __init__(self, api: OpenAIApi, handler: Handler) -> None:
        self._api = api
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._handler(await self._api.owner(request), request)
        except Exception as error:
            answer = refusal(error)
        await answer(scope, receive, send)


class _Answer:
    """An ASGI response: one generation, whole or streamed."""

    def __init__(
        self,
        events: AsyncGenerator[Delta | Finish, None],
        shape: Shape,
        stream: bool,
        include_usage: bool,
    ) -> None:
        self._events = events
        self._shape = shape
        self._stream = stream
        self._include_usage = include_usage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(
            self._streamed(scope, receive, send)
            if self._stream
            else self._whole(scope, receive, send)
        )
        gone = asyncio.create_task(until_gone(receive))
        try:
            await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.wait([work, gone])
        if not work.cancelled():
            work.result()

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces: list[str] = []
        response = refusal(OpenAIError(503, "The answer broke off.", SERVER))
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        pieces.append(event.text)
                    else:
                        text = self._shape.whole("".join(pieces), event)
                        response = Response(text, media_type="application/json")
        except Exception as error:
            response = refusal(error)
        await response(scope, receive, send)

    async def _streamed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The status waits for the first event, so that a refusal is a status and not a stream."""
        started = False

        async def emit(body: bytes, more: bool = True) -> None:
            nonlocal started
            if not started:
                started = True
                await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
                body = self._shape.chunk("", first=True) + body
            await send({"type": "http.response.body", "body": body, "more_body": more})

        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        await emit(self._shape.chunk(event.text))
                    else:
                        await emit(self._end(event), more=False)
                        return
            raise OpenAIError(503, "The answer broke off.", SERVER)
        except Exception as error:
            if not started:
                await refusal(error)(scope, receive, send)
            else:
                known = _known(error)
                await emit(b"data: " + known.body() + b"\n\n", more=False)

    def _end(self, finish: Finish) -> bytes:
        end = self._shape.chunk(None, finish.reason)
        if self._include_usage:
            end += self._shape.usage_chunk(finish)
        return end + DONE


def refusal(error: Exception) -> Response:
    """An error as an HTTP answer in OpenAI's shape."""
    known = _known(error)
    REFUSED.labels(known.code or known.type).inc()
    response = Response(known.body(), known.status, media_type="application/json")
    if known.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(known.retry_after)))
    return response


def _known(error: Exception) -> OpenAIError:
    known = openai_error(error)
    if known is None:
        log.error("request failed", exc_info=error)
        known = OpenAIError(500, "Something went wrong here.", SERVER)
    return known


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _model(name: str, owned_by: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owned_by}
