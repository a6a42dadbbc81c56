"""The engine's span joins the trace of whoever asked."""

from __future__ import annotations

from pathlib import Path

import httpx
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.serving import serving
from troupe.engine.server import EngineServerOptions, create_app
from troupe.telemetry import traces

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


async def test_the_first_token_is_a_span_of_the_callers_trace(checkpoint: Path) -> None:
    memory = InMemorySpanExporter()
    traces.configure("engine", None, memory)
    try:
        async with (
            serving(create_app(EngineServerOptions(model_dir=checkpoint))) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            while (await client.get("/readyz")).status_code != 200:
                pass
            headers = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
            body = {"prompt": [5, 6, 7], "max_tokens": 2}
            answer = await client.post("/v1/completions", json=body, headers=headers)
            answer.raise_for_status()
    finally:
        traces.shutdown()
    (span,) = memory.get_finished_spans()
    assert span.name == "engine.first_token"
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert span.attributes is not None
    assert span.attributes["prompt_tokens"] == 3
