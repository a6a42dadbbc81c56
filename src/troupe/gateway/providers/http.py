"""HTTP to a provider: one client, its errors as the gateway's, and streams of events.

Knows nothing of models or prompts. Called by the providers and by discovery.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from troupe.gateway.errors import BadRequest, ProviderUnavailable, Timeout, UpstreamError
from troupe.gateway.providers.refusals import refusal
from troupe.gateway.sse import EventReader
from troupe.telemetry import request_id

MAX_BODY_BYTES = 16_000_000  # of an answer that is not a stream
MAX_ERROR_BYTES = 64_000
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class Http:
    """Requests to one base URL. Raises the gateway's errors and no others."""

    def __init__(
        self,
        provider: str,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        connect_s: float = 5.0,
    ) -> None:
        """Raises `ProviderUnavailable` if the address is none."""
        self.provider = provider
        try:
            url = httpx.URL(base_url.rstrip("/") + "/")
        except httpx.InvalidURL as error:
            raise ProviderUnavailable(f"{provider}: {base_url!r} is no address: {error}") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ProviderUnavailable(f"{provider}: {base_url!r} is no http or https address")
        self.host = url.host
        # Loading the system's certificates takes long, and plain HTTP needs none.
        verify: bool | ssl.SSLContext = True
        if url.scheme == "http":
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            verify=verify,
            trust_env=url.host not in _LOOPBACK,
            # How long an answer may take is the gateway's to say.
            timeout=httpx.Timeout(None, connect=connect_s, write=30.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get_json(self, path: str) -> Any:
        """The JSON at `path`, which begins without a slash."""
        return self._json(await self.get(path))

    async def get(self, path: str) -> bytes:
        """The body at `path`."""
        async with self._answer("GET", path, None, {}) as response:
            return await _read(response, MAX_BODY_BYTES)

    async def etag(self, path: str) -> str:
        """What tells whether the body at `path` has changed, or nothing."""
        async with self._answer("HEAD", path, None, {}) as response:
            return str(response.headers.get("etag", ""))

    async def events(
        self,
        path: str,
        body: Mapping[str, Any],
        request: str,
        more_headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[str, None]:
        """Post `body` and give the data of each event; a server that answers with one JSON object
        gives that. Closing the generator closes the connection. `request` is the request id."""
        try:
            content = _COMPACT.encode(body).encode()
        except ValueError as error:
            raise BadRequest(f"the prompt has no bytes: {error}") from error
        headers = {"accept": "text/event-stream", "content-type": "application/json"}
        headers |= more_headers or {}
        headers["x-request-id"] = request
        headers = {name: value for name, value in headers.items() if value} | request_id.headers()
        async with self._answer("POST", path, content, headers) as response:
            if response.headers.get("content-type", "").startswith("application/json"):
                yield (await _read(response, MAX_BODY_BYTES)).decode(errors="replace")
                return
            reader = EventReader()
            async for chunk in response.aiter_bytes():
                for event in reader.feed(chunk):
                    yield event
            for event in reader.finish():
                yield event

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self._client.stream(
                method, path, content=content, headers=headers
            ) as response:
                if response.status_code >= 300:
                    text = await _read(response, MAX_ERROR_BYTES)
                    raise refusal(self.provider, response.status_code, response.headers, text)
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ProviderUnavailable(f"{self.provider} cannot be reached") from error
        except httpx.TimeoutException as error:
            raise Timeout(f"{self.provider} took too long to take the request") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            why = str(error) or type(error).__name__
            raise UpstreamError(f"the connection to {self.provider} broke: {why}") from error

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UpstreamError(f"{self.provider} sent what is no JSON") from error


async def _read(response: httpx.Response, limit: int) -> bytes:
    """The body, up to `limit` bytes: what lies beyond is not read."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            break
    return bytes(body[:limit])
