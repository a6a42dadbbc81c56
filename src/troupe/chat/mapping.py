"""Errors of the tiers below as the chat service's own. Called at the entrances, once each."""

from __future__ import annotations

from troupe.gateway.errors import GatewayError
from troupe.telemetry import logs

from .errors import BadFrame, ChatError, Internal, ModelUnavailable, NotFound, StateConflict
from .store.errors import BadText, ChatNotFound, Conflict, MessageNotFound, StoreUnavailable

log = logs.get(__name__)


def chat_error(error: Exception) -> ChatError:
    """What to answer. What nobody foresaw is logged here, and only here."""
    match error:
        case ChatError():
            return error
        case ChatNotFound() | MessageNotFound():
            return NotFound()
        case Conflict():
            return StateConflict()
        case BadText():
            return BadFrame(str(error))
        case GatewayError():
            return ModelUnavailable(str(error), retry_after=error.retry_after)
        case StoreUnavailable():
            log.warning("store unavailable", error=str(error))
            return Internal("The database does not answer. Send the same again.", retry_after=1.0)
    log.error("request failed", exc_info=error)
    return Internal()
