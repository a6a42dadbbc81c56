"""The committed OpenAPI document is the one that the code makes, and each endpoint is described."""

from __future__ import annotations

import json
from pathlib import Path

from troupe.core import openapi
from troupe.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_committed_document_is_current(core_settings: Settings) -> None:
    committed = (ROOT / "web/openapi/core.json").read_text(encoding="utf-8")
    assert committed == openapi.text(), "run: python -m troupe.core.openapi web/openapi/core.json"


def test_every_endpoint_says_what_it_does_and_how_it_refuses(core_settings: Settings) -> None:
    document = json.loads(openapi.text())
    operations = [
        (path, each) for path, kinds in document["paths"].items() for each in kinds.items()
    ]
    assert operations
    for path, (method, operation) in operations:
        assert operation.get("description"), f"{method} {path}"
        assert "default" in operation["responses"], f"{method} {path}"
    names = [operation["operationId"] for _, (_, operation) in operations]
    assert len(set(names)) == len(names)


def test_what_may_be_left_out_is_optional_to_clients(core_settings: Settings) -> None:
    schema = json.loads(openapi.text())["components"]["schemas"]["CharacterChange"]
    assert "required" not in schema
    assert all("default" not in field for field in schema["properties"].values())
