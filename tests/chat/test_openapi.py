"""The committed OpenAPI document is the one that the code makes, and it is documented."""

from __future__ import annotations

from pathlib import Path

from troupe.chat import openapi
from troupe.chat.endpoints import ENDPOINTS, PREFIX

ROOT = Path(__file__).parents[2]


def test_the_committed_document_is_current() -> None:
    committed = (ROOT / "web/openapi/chat.json").read_text(encoding="utf-8")
    assert committed == openapi.text(), "run: python -m troupe.chat.openapi web/openapi/chat.json"


def test_every_endpoint_is_in_the_protocol_document() -> None:
    protocol = (ROOT / "docs/protocol.md").read_text(encoding="utf-8").replace("{id}", "{chat}")
    for endpoint in ENDPOINTS:
        path = PREFIX + endpoint.path
        assert path in protocol or f"…/{path.rsplit('/', 1)[1]}" in protocol, path
