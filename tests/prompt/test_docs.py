"""The guide's examples run, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from troupe.prompt.sandbox import FILTERS_ALLOWED
from troupe.prompt.yaml_parts import KEYS

GUIDE = (Path(__file__).parents[2] / "docs" / "prompt.md").read_text("utf-8")


def test_the_examples_run():
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/prompt.md", "exec"), names)


def test_every_filter_and_key_is_named():
    listed = GUIDE.split("these filters:")[1].split("`")[1].split()
    assert set(listed) == FILTERS_ALLOWED
    for key in KEYS:
        assert f"`{key}`" in GUIDE
