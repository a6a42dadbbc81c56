"""The guide to models: its example runs, and it names every server and error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.gateway.upstream import GOOD, events, upstream
from troupe.gateway import errors
from troupe.gateway.discovery import CANDIDATES

GUIDE = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")


async def test_the_example_runs():
    (block,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/models.md", "exec"), names)
    async with upstream(events(*GOOD)) as server:
        assert await names["ask"](server.url, "parrot", "Hello?") == "Hello"


def test_every_local_server_and_error_is_named():
    for candidate in CANDIDATES:
        assert f"`{candidate.name}`" in GUIDE
        assert str(candidate.port) in GUIDE
    kinds = [
        e for e in vars(errors).values() if isinstance(e, type) and e.__module__ == errors.__name__
    ]
    for kind in kinds:
        if kind is not errors.GatewayError:
            assert f"`{kind.__name__}`" in GUIDE
