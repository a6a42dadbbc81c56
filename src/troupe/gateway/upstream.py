"""Talking to an OpenAI-compatible server: requests, event streams, and what its failures mean.

Used by every provider. Knows HTTP; turns whatever goes wrong into the errors of `errors.py`.
Server-sent events: WHATWG HTML, section 9.2.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from troupe.telemetry import request_id

from .errors import (
    BadRequest,
    ContextTooLong,
    GatewayError,
    ModelNotFound,
    ProviderUnavailable,
    RateLimited,
    Timeout,
    UpstreamError,
)

MAX_EVENT_CHARS = 1_000_000
MAX_ERROR_BYTES = 64_000
MAX_MODELS_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds that a provider may take."""

    connect: float = 3.0
    answer: float = 10.0  # a whole small answer, such as the list of models
    first_token: float = 120.0
    between_tokens: float = 60.0
    total: float = 900.0


class Upstream:
    """One server. `base_url` is what its paths are put behind, without a trailing slash."""

    def __init__(self, base_url: str, key: str | None = None, limits: TimeLimits | None = None):
        self.base_url = base_url.rstrip("/")
        self.limits = limits or TimeLimits()
        headers = {"authorization": f"Bearer {key}"} if key else {}
        # A stream's silence is watched by `events`, whose limits differ by phase.
        timeout = httpx.Timeout(
            self.limits.answer, connect=self.limits.connect, read=None, pool=self.limits.connect
        )
        pool = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(
            headers=headers, timeout=timeout, limits=pool, trust_env=not _is_local(base_url)
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> bytes:
        """A whole small answer."""
        try:
            async with asyncio.timeout(self.limits.answer):
                async with self._opened("GET", path, None) as response:
                    body = await _read(response, MAX_MODELS_BYTES)
        except TimeoutError as error:
            raise Timeout(f"{self.base_url} did not answer in {self.limits.answer:g} s") from error
        if len(body) > MAX_MODELS_BYTES:
            raise UpstreamError(f"{self.base_url}{path} answered with more than 4 MB")
        return body

    async def get_json(self, path: str) -> Any:
        """A whole small answer, as JSON."""
        try:
            return json.loads(await self.get(path))
        except ValueError as error:
            raise UpstreamError(f"{self.base_url}{path} answered with no JSON") from error

    async def events(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of a streamed answer. Closing it aborts the work there.

        Raises `Timeout` where the server is silent for too long, and `UpstreamError` where it
        sends an error or something that is no event stream.
        """
        ends = asyncio.get_running_loop().time() + self.limits.total
        async with (
            self._opened_in_time(path, body) as response,
            aclosing(_data(response)) as found,
        ):
            wait = self.limits.first_token
            while True:
                left = min(wait, ends - asyncio.get_running_loop().time())
                try:
                    async with asyncio.timeout(left):
                        data = await anext(found, None)
                except TimeoutError as error:
                    raise Timeout(f"{self.base_url} sent nothing for {left:.0f} s") from error
                except httpx.TransportError as error:
                    raise UpstreamError(f"{self.base_url} broke off ({_name(error)})") from error
                if data is None or data == "[DONE]":
                    return
                yield _event(data, self.base_url)
                wait = self.limits.between_tokens

    @asynccontextmanager
    async def _opened_in_time(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncIterator[httpx.Response]:
        opening = self._opened("POST", path, body)
        try:
            async with asyncio.timeout(self.limits.first_token):
                response = await opening.__aenter__()
        except TimeoutError as error:
            raise Timeout(
                f"{self.base_url} did not begin to answer in {self.limits.first_token:g} s"
            ) from error
        try:
            yield response
        finally:
            await opening.__aexit__(None, None, None)

    @asynccontextmanager
    async def _opened(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[httpx.Response]:
        request = self._client.build_request(
            method, self.base_url + path, json=body, headers=request_id.headers()
        )
        try:
            response = await self._client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ProviderUnavailable(f"{self.base_url} cannot be reached") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UpstreamError(f"{self.base_url} broke off ({_name(error)})") from error
        try:
            if response.status_code >= 400:
                raise refusal(response, await _read(response, MAX_ERROR_BYTES))
            yield response
        finally:
            await response.aclose()


async def _read(response: httpx.Response, limit: int) -> bytes:
    """The body, up to a little over `limit` bytes."""
    body = bytearray()
    try:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > limit:
                break
    except httpx.HTTPError as error:
        raise UpstreamError(f"{response.url} broke off ({_name(error)})") from error
    return bytes(body)


async def _data(response: httpx.Response) -> AsyncGenerator[str, None]:
    """The `data` of each server-sent event: comments, names and ids left out."""
    lines: list[str] = []
    size = 0
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
            size += len(line)
            if size > MAX_EVENT_CHARS:
                raise UpstreamError("an event of over a million characters")
        elif not line and lines:
            yield "\n".join(lines)
            lines, size = [], 0
    if lines:
        yield "\n".join(lines)


def _event(data: str, where: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise UpstreamError(f"{where} sent what is no JSON") from error
    if not isinstance(event, dict):
        raise UpstreamError(f"{where} sent what is no event")
    if event.get("error"):
        raise UpstreamError(f"{where} failed: {_message(event)}")
    return event


def refusal(response: httpx.Response, body: bytes) -> GatewayError:
    """What an HTTP status of 400 or more means."""
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = {}
    said = _message(parsed) or response.reason_phrase or "no reason given"
    text = f"{response.url.host}:{response.url.port or ''} says {response.status_code}: {said}"
    wait = retry_after(response.headers.get("retry-after"))
    match response.status_code:
        case 429:
            return RateLimited(text, wait)
        case 404:
            return ModelNotFound(text)
        case 408 | 504:
            return Timeout(text, wait)
        case 502 | 503:
            return ProviderUnavailable(text, wait)
        case status if status >= 500:
            return UpstreamError(text, wait)
    if "context_length" in json.dumps(parsed) or "context length" in said.lower():
        return ContextTooLong(text)
    return BadRequest(text)


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; a date counts as none."""
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None


def _message(parsed: Any) -> str:
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return str(error)[:500] if error else ""


def _name(error: Exception) -> str:
    return str(error) or type(error).__name__


def _is_local(base_url: str) -> bool:
    return httpx.URL(base_url).host in ("127.0.0.1", "localhost", "::1")
