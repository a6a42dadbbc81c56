"""What can go wrong in the engine. The server maps these to HTTP answers, in `server.py` only."""

from __future__ import annotations


class EngineError(Exception):
    """Any error that the engine raises on purpose."""


class CheckpointError(EngineError):
    """A model folder cannot be served: what is wrong, in which file, and what would mend it."""


class InvalidRequest(EngineError):
    """A request that can never be served as it stands. `param` names the field at fault."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class PrefixGone(EngineError):
    """The prefix that a request names is not held. `length` and `digest` are of the longest one
    that it offered in its place and is held; 0 and nothing if none is."""

    def __init__(self, length: int = 0, digest: bytes = b"") -> None:
        super().__init__("the prefix is not held; send the prompt from where `held` ends")
        self.length = length
        self.digest = digest


class NotAllowed(EngineError):
    """An operator's request from somebody who is none."""


class Overloaded(EngineError):
    """The queue is full. The same request may be sent again after `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineStopped(EngineError):
    """The engine is shutting down, or its worker failed; the generation was ended early."""
