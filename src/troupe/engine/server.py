"""The engine over HTTP: OpenAI-compatible completions, and what operators need.

Routes only: bodies are checked by `schemas.py`, answers shaped by `responses.py`, the work done by
`Engine`. Called by `troupe serve engine` through `run`, and by tests through `create_app`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from troupe.engine.chat_template import ChatTemplate
from troupe.engine.engine import Engine
from troupe.engine.errors import EngineError, EngineStopped, InvalidRequest, PrefixGone
from troupe.engine.exchange import Bodies, Event, EventStream, unless_gone
from troupe.engine.operators import Operators
from troupe.engine.prefixes import resolve
from troupe.engine.responses import HttpError, Shape, http_error
from troupe.engine.schemas import ChatBody, CompletionBody, parse
from troupe.engine.types import Chunk, EngineOptions, GenerateRequest, Prefix
from troupe.telemetry import request_id as request_ids
from troupe.telemetry import traces

log = logging.getLogger(__name__)

# A thread that asks for the interpreter's lock gets it after so long. With the usual 5 ms a step
# would be over and wait, its worker behind the event loop's writing of what the last one brought.
SWITCH_S = 0.0005

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class EngineServerOptions:
    """What `troupe serve engine` can be told."""

    model_dir: Path
    host: str = "127.0.0.1"
    port: int = 8010
    served_name: str | None = None  # None: the folder's name
    engine: EngineOptions = field(default_factory=EngineOptions)
    max_connections: int = 4096  # beyond them, 503
    max_body_bytes: int = 4 * 2**20
    max_bodies_bytes: int = 256 * 2**20  # of all bodies that are being read
    body_seconds: float = 30.0  # that a body may take to arrive
    stall_seconds: float = 60.0  # that a stream waits for its reader to take something
    drain_seconds: int = 5  # how long a stop waits for connections to close
    operator_token: str | None = field(default=None, repr=False)  # None: loopback may, alone


def create_app(options: EngineServerOptions) -> Starlette:
    """The ASGI application; its lifespan loads the weights and ends the worker.

    Raises `CheckpointError` or `EngineError` if the folder or the options cannot be served.
    """
    service = _Service(options)
    app = Starlette(
        routes=[
            Route("/v1/completions", service.completions, methods=["POST"]),
            Route("/v1/chat/completions", service.chat, methods=["POST"]),
            Route("/v1/models", service.models),
            Route("/v1/models/{name}", service.model),
            Route("/v1/models/{name}/context", service.context),
            Route("/v1/models/{name}/tokenizer", service.tokenizer),
            Route("/v1/engine/dial", service.operators.dial, methods=["GET", "PUT"]),
            Route("/healthz", service.healthz),
            Route("/readyz", service.readyz),
            Route("/metrics", service.metrics),
        ],
        middleware=[Middleware(RequestIds)],
        exception_handlers={
            EngineError: _answer_error,
            HTTPException: _answer_http_exception,
            Exception: _answer_failure,
        },
        lifespan=service.lifespan,
    )
    app.state.engine = service.engine
    return app


def run(options: EngineServerOptions) -> None:
    """Serve until SIGTERM or SIGINT; generations that run then end with an error that says so.

    Raises `CheckpointError` or `EngineError` before it listens.
    """
    app = create_app(options)
    sys.setswitchinterval(SWITCH_S)
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # an operator is known by the address of the peer
        timeout_graceful_shutdown=options.drain_seconds,
        limit_concurrency=options.max_connections,
    )
    _Server(config, app.state.engine).run()


class _Server(uvicorn.Server):
    """Ends the engine's generations as soon as a signal comes, so that streams end cleanly."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.stop()
        super().handle_exit(sig, frame)


@dataclass(frozen=True, slots=True)
class Prompt:
    """All tokens of a prompt, those that were sent, and the prefix that stood for the others."""

    tokens: list[int]
    sent: list[int]
    prefix: Prefix | None = None


class _Service:
    """The endpoints, over one engine."""

    def __init__(self, options: EngineServerOptions) -> None:
        self._options = options
        self.engine = Engine(options.model_dir, options.engine)
        self.bodies = Bodies(options.max_body_bytes, options.max_bodies_bytes, options.body_seconds)
        self.operators = Operators(self.engine, self.bodies, options.operator_token)
        self._template = ChatTemplate(options.model_dir, self.engine.vocabulary.tokenizer)
        self._name = options.served_name or options.model_dir.absolute().name

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.engine.start()
        try:
            yield
        finally:
            await self.engine.close()

    async def completions(self, request: Request) -> Response | EventStream:
        data = await self.bodies.json(request)
        body = parse(CompletionBody, data)
        self._check_served(body.model)
        given = body.one_prompt()
        if isinstance(given, str):
            if body.prefix is not None:
                raise InvalidRequest("behind a prefix the prompt is token ids", "prompt")
            given = await asyncio.to_thread(self._encode, given)
        # OpenAI's completions default to 16 tokens.
        limit = body.max_tokens if body.max_tokens is not None else 16
        if body.prefix is None:
            return await self._generate(request, body, Prompt(given, given), limit)
        asked = body.prefix.prefixes()
        held = self._resolve(body.cache_salt or "", asked)
        prompt = Prompt([*held, *given], given, asked[0])
        return await self._generate(request, body, prompt, limit)

    async def chat(self, request: Request) -> Response | EventStream:
        data = await self.bodies.json(request)
        body = parse(ChatBody, data)
        self._check_served(body.model)
        messages = [message.plain() for message in body.messages]
        variables = body.chat_template_kwargs or {}
        ids = await asyncio.to_thread(self._template.encode, messages, variables)
        limit = body.max_completion_tokens
        limit = limit if limit is not None else body.max_tokens
        return await self._generate(request, body, Prompt(ids, ids), limit)

    async def _generate(
        self,
        request: Request,
        body: CompletionBody | ChatBody,
        prompt: Prompt,
        max_tokens: int | None,
    ) -> Response | EventStream:
        request_id: str = request.state.request_id
        asked = body.request(
            prompt.tokens, self.engine.default_sampling, request_id, max_tokens, prompt.prefix
        )
        shape = Shape(
            self._name,
            isinstance(body, ChatBody),
            prompt.sent if body.return_token_ids is True else None,
            body.return_token_ids is not False,
            asked.n,
            None if asked.logprobs is None else self.engine.vocabulary.bytes_of,
        )
        chunks = self._logged(asked, request.state.traceparent)
        # The first chunk is awaited before the answer begins, so that a refusal has its status.
        request_ids.traceparent.set(request.state.traceparent or None)
        with traces.span("engine.first_token", prompt_tokens=len(prompt.tokens)):
            first = await unless_gone(request, anext(chunks))
        if body.stream:
            events = _events(first, chunks, shape, body.wants_usage)
            return EventStream(events, {}, self._options.stall_seconds)
        rest = await unless_gone(request, _collect(chunks))
        return JSONResponse(shape.whole([first, *rest]))

    async def _logged(self, asked: GenerateRequest, traceparent: str) -> AsyncIterator[Chunk]:
        """The engine's chunks, and one log line at the end."""
        facts: dict[str, object] = {"request_id": asked.request_id, "traceparent": traceparent}
        stream = self.engine.generate(asked)
        outcome = "disconnected"
        try:
            async for chunk in stream:
                if chunk.finish_reason is not None and chunk.usage is not None:
                    outcome = chunk.finish_reason
                    usage = chunk.usage
                    facts |= {
                        "prompt_tokens": usage.prompt_tokens,
                        "cached_tokens": usage.cached_tokens,
                        "completion_tokens": usage.completion_tokens,
                        "queue_ms": round(usage.queue_s * 1e3, 3),
                        "prefill_ms": round(usage.prefill_s * 1e3, 3),
                        "decode_ms": round(usage.decode_s * 1e3, 3),
                    }
                yield chunk
        except EngineError as error:
            outcome = type(error).__name__
            raise
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
            log.info("generation ended", extra={**facts, "outcome": outcome})

    def _resolve(self, salt: str, asked: list[Prefix]) -> list[int]:
        """The tokens of a request's prefix. Raises `PrefixGone`."""
        try:
            held = resolve(salt, asked, self.engine.find)
        except PrefixGone:
            self.engine.metrics.prefixes.labels("gone").inc()
            raise
        self.engine.metrics.prefixes.labels("held").inc()
        return held

    def _encode(self, text: str) -> list[int]:
        """A raw prompt: special tokens in it are special."""
        ids: list[int] = self.engine.vocabulary.tokenizer.encode(text).ids
        return ids

    def _check_served(self, name: str | None) -> None:
        self._check_name(name)
        if self.engine.state != "ready":
            raise EngineStopped(self.engine.why_not)

    def _check_name(self, name: str | None) -> None:
        if name is not None and name != self._name:
            raise InvalidRequest(
                f"there is no model {name!r} here; this engine serves {self._name!r}",
                "model",
                "model_not_found",
            )

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        self._check_name(request.path_params["name"])
        return JSONResponse(self._model())

    async def context(self, request: Request) -> Response:
        """What a caller who builds prompts of token ids must know."""
        self._check_name(request.path_params["name"])
        config = self.engine.config
        return JSONResponse(
            {
                "context_length": self.engine.context_length,
                "vocab_size": config.vocab_size,
                "bos_token_id": config.bos_token_id,
                "eos_token_ids": list(config.eos_token_ids),
            }
        )

    async def tokenizer(self, request: Request) -> Response:
        """The model's `tokenizer.json`, so that a remote caller tokenizes exactly as it does."""
        self._check_name(request.path_params["name"])
        return FileResponse(self._options.model_dir / "tokenizer.json")

    def _model(self) -> dict[str, object]:
        return {
            "id": self._name,
            "object": "model",
            "created": 0,
            "owned_by": "troupe",
            "max_model_len": self.engine.context_length,
        }

    async def healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(self, _: Request) -> Response:
        state = self.engine.state
        ready = state == "ready"
        why = {} if ready else {"why": self.engine.why_not}
        return JSONResponse({"status": state, **why}, status_code=200 if ready else 503)

    async def metrics(self, _: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self.engine.metrics.exposition(), headers={"content-type": kind})


async def _events(
    first: Chunk, chunks: AsyncIterator[Chunk], shape: Shape, wants_usage: bool
) -> AsyncIterator[Event]:
    """A stream's events. An error after the first chunk becomes the last event."""
    try:
        for opening in shape.openings():
            yield opening
        chunk = first
        while True:
            if shape.tells(chunk):
                yield shape.piece(chunk)
            if chunk.usage is not None:
                break
            chunk = await anext(chunks)
        if wants_usage and chunk.usage is not None:
            yield shape.usage(chunk.usage)
    except EngineError as error:
        yield http_error(error).body()
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]


async def _collect(chunks: AsyncIterator[Chunk]) -> list[Chunk]:
    return [chunk async for chunk in chunks]


class RequestIds:
    """Gives each request an id (the caller's `X-Request-ID` where it is a sane one) and sends it
    back; keeps a well-formed `traceparent` (W3C Trace Context) for the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(b"x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        traceparent = headers.get(b"traceparent", "")
        if not _TRACEPARENT.fullmatch(traceparent):
            traceparent = ""
        scope.setdefault("state", {}).update(request_id=request_id, traceparent=traceparent)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            log.info("client went away", extra={"request_id": request_id})


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    return _error_response(http_error(error))


async def _answer_http_exception(_: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such path, wrong method) in OpenAI's shape."""
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    return _error_response(HttpError(error.status_code, error.detail, kind))


async def _answer_failure(_: Request, error: Exception) -> Response:
    """A fault of ours: the client learns that, and the log learns what."""
    log.error("request failed", exc_info=error)
    return _error_response(HttpError(500, "the engine failed on this request", "server_error"))


def _error_response(error: HttpError) -> Response:
    return JSONResponse(error.body(), status_code=error.status, headers=error.headers())
