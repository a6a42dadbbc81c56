"""Why the chat service refused something: a small tree that carries a code and what to do.

Raised by the service, turned into socket frames by `socket.py`, into HTTP answers by `http.py`
and into OpenAI's shape by `openai_api`. Knows none of them.
"""

from __future__ import annotations

from typing import ClassVar


class ChatError(Exception):
    """A request was refused and changed nothing. `message` says what to do about it."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    default: ClassVar[str] = "Something went wrong here. Try again in a moment."

    def __init__(self, message: str | None = None, retry_after: float | None = None) -> None:
        self.message = message or self.default
        self.retry_after = retry_after  # seconds
        super().__init__(self.message)


class BadFrame(ChatError):
    """A frame or body that does not follow the protocol."""

    code = "bad_frame"
    status = 400
    default = "This does not follow the protocol. See docs/protocol.md."


class Unauthorized(ChatError):
    """No token, or one that was never good."""

    code = "unauthorized"
    status = 401
    default = "Send a chat token (POST /api/v1/chat-token gives one)."


class Expired(ChatError):
    """The token was good once."""

    code = "expired"
    status = 401
    default = "The chat token ran out. Fetch a new one and say hello again."


class NotFound(ChatError):
    """There is no such thing, or it belongs to somebody else; the two look alike on purpose."""

    code = "not_found"
    status = 404
    default = "There is no such chat or message among yours."


class WrongMethod(ChatError):
    """The path is served, but not by this method."""

    code = "not_found"
    status = 405
    default = "This method is not served here."


class NotLast(ChatError):
    """Only the last answer of a branch can be continued."""

    code = "not_last"
    status = 409
    default = "Only the last answer can be continued. Branch from here to go on."


class Busy(ChatError):
    """An answer is being written on this branch."""

    code = "busy"
    status = 409
    default = "An answer is being written here. Wait for it, or cancel it first."


class StateConflict(ChatError):
    """The chat changed meanwhile, or cannot do this in its state."""

    code = "conflict"
    status = 409
    default = "The chat has changed meanwhile. Load it again and retry."


class TooLong(ChatError):
    """A text is longer than is taken."""

    code = "too_long"
    status = 413
    default = "This text is too long. Shorten it and send it again."


class TooMany(ChatError):
    """One client asks too often."""

    code = "overloaded"
    status = 429
    default = "Too many requests. Slow down and try again."


class Overloaded(ChatError):
    """This process writes as many answers, or holds as many sockets, as it may."""

    code = "overloaded"
    status = 503
    default = "The server is at its limit. Your message was not taken; try again shortly."


class ModelUnavailable(ChatError):
    """No model can answer now, or there is none by this name."""

    code = "model_unavailable"
    status = 503
    default = "The model cannot be reached. Choose another or try again shortly."


class Internal(ChatError):
    """A fault of ours, logged with the request id."""
