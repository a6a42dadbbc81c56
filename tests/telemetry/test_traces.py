"""Spans: off without a collector, joined to the caller's trace with one."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from troupe.telemetry import request_id, traces

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    memory = InMemorySpanExporter()
    traces.configure("test", None, memory)
    yield memory
    traces.shutdown()


def test_without_a_collector_nothing_is_imported_and_spans_do_nothing() -> None:
    code = (
        "import sys; from troupe.telemetry import traces; traces.configure('web', None)\n"
        "with traces.span('send', chars=3) as span: span.set_attribute('a', 1)\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_spans_nest_under_the_callers_and_are_passed_on(exporter: InMemorySpanExporter) -> None:
    token = request_id.traceparent.set(CALLER)
    try:
        with traces.span("send", chat__id="c"), traces.span("generate"):
            onward = request_id.headers()["traceparent"]
        assert request_id.headers()["traceparent"] == CALLER
    finally:
        request_id.traceparent.reset(token)
    inner, outer = exporter.get_finished_spans()
    assert (inner.name, outer.name) == ("generate", "send")
    assert f"{inner.context.trace_id:032x}" == TRACE_ID
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert onward == f"00-{TRACE_ID}-{inner.context.span_id:016x}-01"
    assert outer.attributes == {"chat.id": "c"}


def test_an_error_inside_marks_the_span_and_passes(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="no"), traces.span("send"):
        raise ValueError("no")
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok


def test_spans_reach_a_collector() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        answering = threading.Thread(target=server.serve_forever)
        answering.start()
        try:
            traces.configure("web", f"http://127.0.0.1:{server.server_port}/")
            with traces.span("send"):
                pass
            traces.shutdown()
        finally:
            server.shutdown()
            answering.join()
    ((path, body),) = received
    assert path == "/v1/traces"
    assert b"troupe-web" in (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
