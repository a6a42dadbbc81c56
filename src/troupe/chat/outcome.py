"""How an answer ends: from a provider's last event, or its failure, to a state and `meta`."""

from __future__ import annotations

from typing import Any

from troupe.gateway.errors import GatewayError
from troupe.gateway.types import Finish
from troupe.prompt import PromptError, PromptTooLong
from troupe.telemetry import logs

from .generation import Generation
from .store.types import State


class TooMuchText(Exception):
    """The provider wrote more than an answer may hold."""


log = logs.get(__name__)


def ended(generation: Generation, finish: Finish | None) -> State:
    """An answer whose source ended by itself."""
    meta = generation.meta
    if finish is None:
        meta["error"] = {"code": "model_unavailable", "message": "The answer broke off."}
        return State.INTERRUPTED
    usage = finish.usage
    meta.pop("error", None)
    meta.update(
        model=finish.model,
        provider=finish.provider,
        finish_reason=finish.reason,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        ttft_ms=round(usage.ttft_ms, 1),
        total_ms=round(usage.total_ms, 1),
    )
    if finish.extra:
        meta["extra"] = finish.extra
    return State.STOPPED if finish.reason == "cancelled" else State.COMPLETE


def failed(generation: Generation, error: Exception) -> State:
    """An answer whose source raised. Trouble that may pass leaves it interrupted, so that it can
    be continued; a refusal leaves it failed."""
    if isinstance(error, TooMuchText):
        generation.meta["finish_reason"] = "length"
        return State.COMPLETE
    if isinstance(error, GatewayError):
        log.info("answer broke off", message_id=generation.id, error=str(error), code=error.code)
        generation.meta["error"] = {"code": error.code, "message": str(error)}
        return State.INTERRUPTED if error.transient else State.FAILED
    if isinstance(error, PromptError):
        code = "too_long" if isinstance(error, PromptTooLong) else "internal"
        log.info("no prompt", message_id=generation.id, error=str(error))
        generation.meta["error"] = {"code": code, "message": str(error)}
        return State.FAILED
    log.error("answer failed", message_id=generation.id, exc_info=error)
    generation.meta["error"] = {"code": "internal", "message": "Something went wrong here."}
    return State.INTERRUPTED if generation.text else State.FAILED


def counts(generation: Generation) -> dict[str, Any]:
    """What the log says of an answer: never its text."""
    names = ("model", "prompt_tokens", "cached_tokens", "completion_tokens", "ttft_ms", "total_ms")
    return {name: generation.meta[name] for name in names if name in generation.meta}
