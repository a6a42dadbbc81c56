"""Structured logs: one line an event, as JSON or as text, from every library through one door.

`configure` is called once by each process; `get` gives a logger. Lines of the standard library's
loggers (uvicorn, Django, psycopg) take the same way, with their `extra` fields.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from troupe.telemetry import request_id

# Chatty below warning, and nothing that a reader of our log needs.
_QUIET = ("asyncio", "httpcore", "httpx", "urllib3", "PIL", "websockets", "uvicorn.access")


def configure(
    process: str,
    level: str = "info",
    format: str = "auto",  # noqa: A002
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to `stream` (standard error if not given).

    `level` is debug, info, warning or error; `format` is json, text, or auto (text on a terminal).
    """
    out = stream or sys.stderr
    as_text = format == "text" or (format == "auto" and out.isatty())
    shared = _shared(process)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(as_text, colors=as_text and out.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _route_libraries()


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("message kept", chat=..., seq=...)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _shared(process: str) -> list[Processor]:
    def add_process(_: Any, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_process,
        _add_request_id,
        structlog.processors.StackInfoRenderer(),
    ]


def _add_request_id(_: Any, __: str, event: EventDict) -> EventDict:
    found = request_id.current.get()
    if found and "request_id" not in event:
        event["request_id"] = found
    return event


def _rendering(as_text: bool, colors: bool) -> list[Processor]:
    if as_text:
        return [
            structlog.dev.ConsoleRenderer(
                colors=colors,
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    return [
        structlog.processors.format_exc_info,
        _without_private,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]


def _without_private(_: Any, __: str, event: MutableMapping[str, Any]) -> EventDict:
    """uvicorn adds a copy of its message with colours in it."""
    event.pop("color_message", None)
    return event


def _route_libraries() -> None:
    """Handlers and levels that libraries gave their loggers are taken off, so that no line comes
    twice and the one level counts for all."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "django", "django.server"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
