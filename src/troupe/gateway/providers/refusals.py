"""An HTTP status of a provider as one of the gateway's errors: the one place for that. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from troupe.gateway.errors import (
    BadRequest,
    ContextTooLong,
    GatewayError,
    ModelNotFound,
    ProviderUnavailable,
    RateLimited,
    Timeout,
    UpstreamError,
)

MAX_MESSAGE = 300  # characters of the provider's own words that are passed on
_TOO_LONG = (
    "context length", "context_length", "context window", "context size", "maximum context",
    "too many tokens", "prompt is too long", "exceeds the available context",
)  # fmt: skip


class PrefixNotHeld(BadRequest):
    """Troupe's engine holds no more of a prompt than its first `length` tokens, perhaps none."""

    def __init__(self, message: str, length: int) -> None:
        super().__init__(message)
        self.length = length


def refusal(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The error that an answer of 300 or more stands for."""
    message, code = _said(body)
    after = retry_after(headers)
    told = f"{provider}: {message}" if message else f"{provider} answered with status {status}"
    if status in (400, 413, 422, 500) and _is_too_long(code, message):
        return ContextTooLong(told)
    match status:
        case 409 if code == "prefix_not_held":
            return PrefixNotHeld(told, _held(body))
        case 401 | 403:
            return BadRequest(f"{told} (check the key for {provider})")
        case 404:
            return ModelNotFound(told)
        case 408 | 504:
            return Timeout(told, after)
        case 413:
            return ContextTooLong(told)
        case 429:
            return RateLimited(told, after)
        case 502 | 503:
            return ProviderUnavailable(told, after)
    if status >= 500:
        return UpstreamError(told, after)
    return BadRequest(told)


def from_error_object(provider: str, error: Any) -> GatewayError:
    """The error that a provider sends inside a stream."""
    message, code = _fields(error)
    told = f"{provider}: {message or 'the answer failed'}"
    if _is_too_long(code, message):
        return ContextTooLong(told)
    if code in ("rate_limit_exceeded", "429"):
        return RateLimited(told)
    if code == "engine_stopped":
        return ProviderUnavailable(told)
    return UpstreamError(told)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that `Retry-After` (RFC 9110) or OpenAI's `retry-after-ms` asks for."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "")
        if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
            return min(float(text) * unit, 86_400.0)
    try:
        then = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, min((then - (now or datetime.now(UTC))).total_seconds(), 86_400.0))


def _held(body: bytes) -> int:
    """How many leading tokens an engine says that it holds."""
    try:
        length = json.loads(body)["error"]["held"]["length"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return 0
    return length if isinstance(length, int) else 0


def _said(body: bytes) -> tuple[str, str]:
    """The message and code in an error's body, whatever shape it has."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace").strip()
        return ("" if text.startswith("<") else text[:MAX_MESSAGE]), ""
    if isinstance(data, dict):
        return _fields(data.get("error") or data.get("detail") or data)
    return "", ""


def _fields(error: Any) -> tuple[str, str]:
    if isinstance(error, dict):
        message, code = error.get("message") or "", error.get("code") or error.get("type") or ""
        return str(message)[:MAX_MESSAGE], str(code)
    return (error[:MAX_MESSAGE], "") if isinstance(error, str) else ("", "")


def _is_too_long(code: str, message: str) -> bool:
    found = f"{code} {message}".lower()
    return any(sign in found for sign in _TOO_LONG)
