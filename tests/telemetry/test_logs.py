"""Log lines: one shape for our loggers and for the standard library's."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from troupe.telemetry import logs, request_id


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_process_level_name_time_and_request_id() -> None:
    stream = io.StringIO()
    logs.configure("web", "info", "json", stream)
    with request_id.bound("r1"):
        logs.get("troupe.here").info("message kept", seq=3)
    (line,) = _lines(stream)
    assert line.pop("time")
    assert line == {
        "event": "message kept",
        "level": "info",
        "logger": "troupe.here",
        "process": "web",
        "request_id": "r1",
        "seq": 3,
    }


def test_lines_of_the_standard_library_take_the_same_way() -> None:
    stream = io.StringIO()
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(stream))
    logs.configure("engine", "info", "json", stream)
    logging.getLogger("uvicorn.error").info("up on %s", "port 1", extra={"request_id": "r2"})
    (line,) = _lines(stream)
    assert line["event"] == "up on port 1"
    assert line["request_id"] == "r2"


def test_an_exception_is_part_of_its_line() -> None:
    stream = io.StringIO()
    logs.configure("web", "info", "json", stream)
    try:
        raise ValueError("too deep")
    except ValueError:
        logs.get("troupe.here").exception("card refused")
    (line,) = _lines(stream)
    assert "ValueError: too deep" in str(line["exception"])


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.configure("web", "warning", "json", stream)
    logs.get("troupe.here").info("unseen")
    logging.getLogger("httpx").info("unseen")
    assert stream.getvalue() == ""


def test_text_is_one_readable_line() -> None:
    stream = io.StringIO()
    logs.configure("web", "info", "text", stream)
    logs.get("troupe.here").info("message kept", seq=3)
    assert "message kept" in stream.getvalue()
    assert "seq=3" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
