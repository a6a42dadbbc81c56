"""The HTTP endpoints: check what came in, call the service, answer. No rules of its own.

Each handler is named as its line in `endpoints.py`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from troupe.telemetry import traces

from . import bodies, frames, requests, views
from .auth import Viewer, bearer, viewer_of
from .endpoints import ENDPOINTS, PREFIX, Endpoint
from .errors import ChatError, NotFound, TooMany
from .limits import Buckets
from .mapping import chat_error
from .metrics import REFUSED
from .models import list_models
from .outbox import Outbox
from .service import Chats
from .sse import EventStream
from .store.types import MessageKey
from .turns import ANYONE, Begun, Turns

Answer = BaseModel | ASGIApp | None


@dataclass(frozen=True, slots=True)
class Api:
    """The handlers, and what they call."""

    chats: Chats
    turns: Turns
    secret: str
    interval: float
    buckets: Buckets

    def routes(self) -> list[Route]:
        """A route for every line of the endpoint table."""
        return [
            Route(
                PREFIX + endpoint.path,
                _Endpoint(self, endpoint, getattr(self, f"{endpoint.name}_")),
                methods=[endpoint.method],
                name=f"chat.{endpoint.name}",
            )
            for endpoint in ENDPOINTS
        ]

    async def models_(self, _viewer: Viewer, _request: Request) -> Answer:
        return await list_models(self.turns.answers)

    async def list_chats_(self, viewer: Viewer, request: Request) -> Answer:
        return await self.chats.inbox(viewer, bodies.query(requests.ChatsQuery, request))

    async def create_chat_(self, viewer: Viewer, request: Request) -> Answer:
        body = bodies.parse(requests.NewChat, await bodies.read(request))
        return await self.chats.create(viewer, body)

    async def get_chat_(self, viewer: Viewer, request: Request) -> Answer:
        return await self.chats.get(viewer, _chat(request))

    async def change_chat_(self, viewer: Viewer, request: Request) -> Answer:
        body = bodies.parse(requests.ChatChange, await bodies.read(request))
        return await self.chats.change(viewer, _chat(request), body)

    async def delete_chat_(self, viewer: Viewer, request: Request) -> Answer:
        await self.chats.delete(viewer, _chat(request))
        return None

    async def list_turns_(self, viewer: Viewer, request: Request) -> Answer:
        query = bodies.query(requests.TurnsQuery, request)
        return await self.chats.turns(viewer, _chat(request), query)

    async def get_message_(self, viewer: Viewer, request: Request) -> Answer:
        return await self.chats.message(viewer, _message(request))

    async def send_(self, viewer: Viewer, request: Request) -> Answer:
        body = bodies.parse(requests.SendBody, await bodies.read(request))
        speak = body.speak if "speak" in body.model_fields_set else ANYONE
        begun = await self.turns.send(
            viewer, _chat(request), body.branch, body.client_id, body.text, speak
        )
        return self._stream(begun)

    async def regenerate_(self, viewer: Viewer, request: Request) -> Answer:
        branch = await _on_branch(request)
        return self._stream(await self.turns.regenerate(viewer, _message(request), branch))

    async def continue_(self, viewer: Viewer, request: Request) -> Answer:
        branch = await _on_branch(request)
        return self._stream(await self.turns.write_on(viewer, _message(request), branch))

    async def cancel_(self, viewer: Viewer, request: Request) -> Answer:
        await self.turns.cancel(viewer, _message(request))
        return None

    async def choose_(self, viewer: Viewer, request: Request) -> Answer:
        body = bodies.parse(requests.ChooseBody, await bodies.read(request))
        return await self.chats.choose(viewer, _message(request), body.branch)

    async def edit_(self, viewer: Viewer, request: Request) -> Answer:
        body = bodies.parse(requests.EditBody, await bodies.read(request))
        self.turns.check_length(body.text)
        return await self.chats.edit(viewer, _message(request), body.branch, body.text)

    async def pin_(self, viewer: Viewer, request: Request) -> Answer:
        return await self.chats.pin(viewer, _message(request))

    async def unpin_(self, viewer: Viewer, request: Request) -> Answer:
        return await self.chats.unpin(viewer, _message(request))

    async def branch_(self, viewer: Viewer, request: Request) -> Answer:
        body = bodies.parse(requests.BranchBody, await bodies.read(request))
        return await self.chats.branch(viewer, _chat(request), body.branch, body.seq)

    async def erase_turn_(self, viewer: Viewer, request: Request) -> Answer:
        branch, seq = _number(request, "branch"), _number(request, "seq")
        await self.chats.erase(viewer, _chat(request), branch, seq)
        return None

    def _stream(self, begun: Begun) -> EventStream:
        accepted = frames.Accepted(
            id="", chat=str(begun.chat_id), branch=begun.branch, messages=begun.messages
        )

        def fill(outbox: Outbox) -> None:
            outbox.put(frames.dump(accepted))
            if begun.generation is not None:
                outbox.attach(begun.generation, begun.generation.prefix)

        return EventStream(fill, self.interval)


class _Endpoint:
    """The ASGI application of one endpoint: who asks, what for, and what became of it."""

    def __init__(
        self,
        api: Api,
        endpoint: Endpoint,
        handler: Callable[[Viewer, Request], Awaitable[Answer]],
    ) -> None:
        self._api = api
        self._name = f"chat.{endpoint.name}"
        self._status = endpoint.status
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            viewer = viewer_of(self._api.secret, bearer(request.headers.get("authorization")))
            if not self._api.buckets.take(viewer.user_id, time.monotonic()):
                raise TooMany(retry_after=1.0)
            with traces.span(self._name):
                answer = await self._handler(viewer, request)
        except Exception as error:
            await refusal(chat_error(error))(scope, receive, send)
            return
        if answer is None:
            await Response(status_code=self._status)(scope, receive, send)
        elif isinstance(answer, BaseModel):
            body = answer.model_dump_json().encode()
            response = Response(body, self._status, media_type="application/json")
            response.headers["cache-control"] = "no-store"
            await response(scope, receive, send)
        else:
            await answer(scope, receive, send)


def refusal(error: ChatError) -> Response:
    """An error as an HTTP answer."""
    REFUSED.labels(error.code).inc()
    body = views.ErrorView(
        error=views.ErrorBody(code=error.code, message=error.message, retry_after=error.retry_after)
    )
    response = Response(
        body.model_dump_json(exclude_none=True).encode(),
        error.status,
        media_type="application/json",
    )
    if error.retry_after is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after)))
    return response


def _chat(request: Request) -> UUID:
    try:
        return UUID(request.path_params["chat"])
    except ValueError:
        raise NotFound from None


def _message(request: Request) -> MessageKey:
    try:
        key = MessageKey.parse(request.path_params["message"])
    except ValueError:
        raise NotFound from None
    if not all(0 <= part < 2**31 for part in key[1:]):
        raise NotFound
    return key


def _number(request: Request, name: str) -> int:
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound
    return int(text)


async def _on_branch(request: Request) -> int | None:
    body = await bodies.read(request)
    return bodies.parse(requests.OnBranch, body).branch if body else None
