"""Errors in OpenAI's shape. The one place where other errors become them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from troupe.chat import errors as chat
from troupe.gateway import errors as gateway
from troupe.prompt import PromptError

AUTHENTICATION = "authentication_error"
INVALID = "invalid_request_error"
LIMIT = "rate_limit_error"
SERVER = "server_error"


@dataclass(frozen=True)
class OpenAIError(Exception):
    """What OpenAI's clients expect: status, message, type, param, code; `retry_after` seconds."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    retry_after: float | None = None

    def body(self) -> bytes:
        """The JSON body."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return orjson.dumps({"error": error})


def invalid(message: str, param: str | None = None, code: str | None = None) -> OpenAIError:
    """The request cannot be served as it is."""
    return OpenAIError(400, message, INVALID, param, code)


def no_model(name: str) -> OpenAIError:
    """There is no model or character by this name, or it is private."""
    return OpenAIError(
        404,
        f"The model {name!r} does not exist, or you may not use it.",
        INVALID,
        "model",
        "model_not_found",
    )


def bad_key() -> OpenAIError:
    """No key, or one that is not good."""
    return OpenAIError(
        401,
        "Send an API key as `Authorization: Bearer KEY`; keys are made in the settings.",
        AUTHENTICATION,
        None,
        "invalid_api_key",
    )


def too_many(retry_after: float = 1.0) -> OpenAIError:
    """This key asks too often."""
    message = "Too many requests with this key. Slow down and try again."
    return OpenAIError(429, message, LIMIT, None, "rate_limit_exceeded", retry_after)


def openai_error(error: Exception) -> OpenAIError | None:
    """Another tier's error as OpenAI's; None for what nobody foresaw."""
    match error:
        case OpenAIError():
            return error
        case gateway.ModelNotFound():
            return OpenAIError(404, str(error), INVALID, "model", "model_not_found")
        case gateway.ContextTooLong():
            return invalid(str(error), "messages", "context_length_exceeded")
        case gateway.BadRequest():
            return invalid(str(error))
        case gateway.RateLimited():
            return OpenAIError(
                429, str(error), LIMIT, None, "rate_limit_exceeded", error.retry_after
            )
        case gateway.GatewayError():
            return OpenAIError(503, str(error), SERVER, None, error.code, error.retry_after or 1.0)
        case PromptError():
            return invalid(str(error), "messages", "context_length_exceeded")
        case chat.Overloaded():
            message = "The server is at its limit. Try again shortly."
            return OpenAIError(503, message, SERVER, None, error.code, error.retry_after)
        case chat.TooLong():
            return OpenAIError(413, error.message, INVALID, None, "body_too_large")
        case chat.BadFrame():
            return invalid(error.message)
    return None
