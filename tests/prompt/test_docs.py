"""The guide's examples run, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from troupe.prompt import Template, loaders, platform_template
from troupe.prompt.sandbox import FILTERS_ALLOWED
from troupe.prompt.tools.diff import readable
from troupe.prompt.tools.inputs import read_inputs
from troupe.prompt.tools.lint import RULES, lint
from troupe.prompt.yaml_parts import KEYS

GUIDES = Path(__file__).parents[2] / "docs"
GUIDE = (GUIDES / "prompt.md").read_text("utf-8")


def test_the_examples_run():
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/prompt.md", "exec"), names)


def test_every_filter_and_key_is_named():
    listed = GUIDE.split("these filters:")[1].split("`")[1].split()
    assert set(listed) == FILTERS_ALLOWED
    for key in KEYS:
        assert f"`{key}`" in GUIDE


def test_every_rule_of_lint_is_named():
    tools = (GUIDES / "prompt-tools.md").read_text("utf-8")
    for rule in RULES:
        assert f"| `{rule}` |" in tools


def test_the_data_of_the_tools_page_are_data():
    tools = (GUIDES / "prompt-tools.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", tools, re.DOTALL | re.MULTILINE)
    inputs = read_inputs(block)
    parts = platform_template("character").render(inputs.data, inputs.history)
    assert [part.name for part in parts] == ["card", "message", "message", "answer"]
    assert len(parts[2].attachments) == 1


AUTHORS = (GUIDES / "prompt-templates.md").read_text("utf-8")
EXAMPLES = re.findall(
    r"^```jinja\n(.*?)^```\n\n```yaml\n(.*?)^```\n\n```(text|lint)\n(.*?)^```",
    AUTHORS,
    re.DOTALL | re.MULTILINE,
)


def test_every_example_of_the_guide_is_whole():
    assert len(EXAMPLES) == AUTHORS.count("```jinja") >= 9


@pytest.mark.parametrize(("template", "data", "kind", "wanted"), EXAMPLES)
def test_the_guides_examples_give_what_they_say(template, data, kind, wanted):
    inputs = read_inputs(data)
    if kind == "text":
        given = readable(Template.parse(template), inputs)
        assert "\n".join(given) + "\n" == wanted
    else:
        files = loaders.strings({"template": template})
        found = lint("template", files, inputs.data, inputs.history)
        assert [f"{one.template}:{one.line}: {one.rule}" for one in found] == wanted.splitlines()
