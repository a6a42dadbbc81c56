"""Traces by OpenTelemetry, from socket to token; without a collector nothing is even imported.

`configure` is called once by a process; `span` wraps work anywhere. The trace context crosses
processes as `traceparent` (W3C Trace Context) in `request_id.headers()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from troupe.telemetry import request_id

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

Attribute = str | bool | int | float

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


class Span(Protocol):
    """What work may say of itself while it runs."""

    def set_attribute(self, key: str, value: Attribute) -> None: ...

    def add_event(self, name: str) -> None: ...


class _NoSpan:
    """Stands for a span when traces are off."""

    def set_attribute(self, key: str, value: Attribute) -> None:
        """Keep nothing."""

    def add_event(self, name: str) -> None:
        """Keep nothing."""


_NO_SPAN = _NoSpan()


def configure(process: str, endpoint: str | None, exporter: SpanExporter | None = None) -> None:
    """Send spans to a collector (OTLP over HTTP, `endpoint` without `/v1/traces`); None: do
    nothing. `exporter` takes the collector's place in tests."""
    global _provider, _tracer
    if endpoint is None and exporter is None:
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    _provider = TracerProvider(resource=Resource.create({"service.name": f"troupe-{process}"}))
    if exporter is not None:
        _provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        assert endpoint is not None
        address = f"{endpoint.rstrip('/')}/v1/traces"
        _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
    _tracer = _provider.get_tracer("troupe")


def shutdown() -> None:
    """Send what is still held, and stop."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


@contextmanager
def span(name: str, **attributes: Attribute) -> Iterator[Span]:
    """A span around the work inside, under the span or the caller's context that holds here."""
    if _tracer is None:
        yield _NO_SPAN
        return
    from opentelemetry.trace import format_span_id, format_trace_id

    given: dict[str, Any] = {key.replace("__", "."): value for key, value in attributes.items()}
    if (found := request_id.current.get()) is not None:
        given["request_id"] = found
    with _tracer.start_as_current_span(name, context=_parent(), attributes=given) as opened:
        context = opened.get_span_context()
        ids = f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
        token = request_id.traceparent.set(f"00-{ids}-{context.trace_flags:02x}")
        try:
            yield opened
        finally:
            request_id.traceparent.reset(token)


def _parent() -> Context | None:
    """The caller's context, unless a span of this process is open: that comes first."""
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if get_current_span().get_span_context().is_valid:
        return None
    given = request_id.traceparent.get()
    if given is None:
        return None
    return TraceContextTextMapPropagator().extract({"traceparent": given})
