"""What can go wrong on the way to a model. Each error says whether trying again may help."""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Any failure of a provider. `transient`: it may pass; `retry_after` in seconds."""

    code: ClassVar[str] = "model_unavailable"
    transient: ClassVar[bool] = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class ProviderUnavailable(GatewayError):
    """The provider cannot be reached, or its circuit is open."""


class ModelNotFound(GatewayError):
    """No provider offers a model by this name."""

    code = "not_found"
    transient = False


class RateLimited(GatewayError):
    """The provider asks to come back later."""

    code = "overloaded"


class ContextTooLong(GatewayError):
    """The prompt and the answer do not fit the model's context."""

    code = "too_long"
    transient = False


class BadRequest(GatewayError):
    """The provider refused what was asked."""

    code = "bad_request"
    transient = False


class UpstreamError(GatewayError):
    """The provider failed, or sent what cannot be understood."""


class Timeout(GatewayError):
    """The provider took too long."""
