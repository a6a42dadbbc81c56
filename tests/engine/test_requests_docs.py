"""docs/engine-requests.md names every field of a request and no other, with its default and range,
and its example runs."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import httpx
import pytest

from troupe.engine.engine import Engine
from troupe.engine.errors import InvalidRequest
from troupe.engine.grammar import MAX_BYTES, MAX_COMPILE_S, MAX_DEPTH, MAX_VALUES
from troupe.engine.logprobs import MAX_LOGPROBS
from troupe.engine.sampling import MAX_BIASES, SamplingParams
from troupe.engine.schemas import ChatBody, CompletionBody
from troupe.engine.server import EngineServerOptions, create_app
from troupe.engine.structured import StructuredOutputs
from troupe.engine.types import MAX_CANDIDATES, EngineOptions

DOCS = (Path(__file__).parents[2] / "docs" / "engine-requests.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in DOCS.splitlines()
    if line.startswith("| `")
]


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_every_field_is_documented_and_no_other() -> None:
    documented = [name for row in ROWS for name in names(row[0])]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(CompletionBody.model_fields) | set(ChatBody.model_fields)


def test_the_endpoints_of_a_field_are_documented() -> None:
    for row in ROWS:
        if row[1] in ("both", "completions", "chat"):
            for name in names(row[0]):
                of = {
                    "completions": name in CompletionBody.model_fields,
                    "chat": name in ChatBody.model_fields,
                }
                assert of == {kind: row[1] in ("both", kind) for kind in of}, name


def test_defaults_and_ranges_of_sampling_are_documented() -> None:
    documented = {names(row[0])[0]: row for row in ROWS}
    for field in fields(SamplingParams):
        default, span = documented[field.name][1:3]
        value = getattr(SamplingParams(), field.name)
        if isinstance(value, float | int):
            assert default == str(value), field.name
        for low, high in re.findall(r"^(-?[\d.]+) to ([\d.]+)$", span):
            for edge in (float(low), float(high)):
                SamplingParams(**{field.name: edge}).check(10)  # type: ignore[arg-type]
            for beyond in (float(low) - 0.01, float(high) + 0.01):
                with pytest.raises(InvalidRequest):
                    SamplingParams(**{field.name: beyond}).check(10)  # type: ignore[arg-type]


def test_limits_and_forms_are_documented() -> None:
    for kind in StructuredOutputs.model_fields.values():
        assert kind.alias is None or f"`{kind.alias}`" in DOCS
    for said in (
        f"{MAX_BYTES // 1024} KiB, {MAX_DEPTH} levels, {MAX_VALUES:,} values and {MAX_COMPILE_S:g} "
        "seconds",
        f"Candidates, up to {MAX_CANDIDATES}",
        f"up to {MAX_LOGPROBS}",
        f"{MAX_BIASES:,} of -100 to 100",
    ):
        assert said in DOCS, said


async def test_the_example_runs(checkpoint: Path) -> None:
    options = EngineOptions(kv_bytes=2 * 2**20)
    app = create_app(EngineServerOptions(checkpoint, engine=options))
    engine: Engine = app.state.engine
    engine.start()
    await engine.loaded()
    path, body = re.findall(r"curl --fail \"\$ENGINE(\S+)\" -d '(.*?)'", DOCS, re.DOTALL)[0]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.post(path, json=json.loads(body) | {"temperature": 0.5, "seed": 1})
    await engine.close()
    assert response.status_code == 200
    assert json.loads(response.json()["choices"][0]["message"]["content"])["mood"] in (
        "glad",
        "sad",
    )
