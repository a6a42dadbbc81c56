"""Findings, each with its line and, where it costs, how much."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.prompt.support import DATA
from tests.prompt.test_any_template import DATA as ANY_DATA
from tests.prompt.test_any_template import FILES, statement
from tests.prompt.test_any_template import HISTORY as ANY_HISTORY
from troupe.prompt import loaders
from troupe.prompt.tools.lint import RULES, Finding, lint

HISTORY = """{% for message in history %}
- name: message
  role: "{{ message.role }}"
  truncation_priority: 1
  content: "{{ message.text }}"
{% endfor %}
- name: answer
  role: char
  content: "{{ partial }}"
"""


def found(text: str, data: dict, **settings) -> list[Finding]:
    return lint("t.yaml", loaders.strings({"t.yaml": text}), data, **settings)


def rules(text: str, data: dict, **settings) -> list[tuple[str, int]]:
    return [(one.rule, one.line) for one in found(text, data, **settings)]


def card(line: str) -> str:
    return f"- name: card\n  role: system\n  content: |\n    {line}\n{HISTORY}"


def test_a_sound_template_has_none():
    assert found(card("You are {{ name }}."), {"name": "Mira", "partial": ""}) == []


@pytest.mark.parametrize("name", ["character", "group"])
def test_the_platforms_own_have_none(name):
    data = DATA | {"characters": [DATA["character"]], "speaker": "Mira Vale"}
    loader = loaders.package("troupe.prompt", "templates")
    assert lint(f"{name}.yaml", loader, data) == []


def test_all_unknown_keys_are_found_at_their_lines():
    text = """{# rolle: no key #}
- name: card
  rolle: system
  content: |
    note: this is text
    - name: so is this
{% if rare %}
- name: rare
  sections:
    - name: speaker
      contents: x
    - nam: text
      content: y
  priority: 3
{% endif %}
{% macro made() %}
- name: made
  text: "a: b"
{% endmacro %}
"""
    seen = found(text, {"rare": False})
    assert [(one.rule, one.line) for one in seen] == [
        ("unknown-key", line) for line in (3, 11, 12, 14, 18)
    ]
    assert "there is no key 'contents'; a section has name" in seen[1].message
    assert "there is no key 'priority'; a part has name, role" in seen[3].message


def test_a_message_that_is_used_wrongly_is_found_without_any():
    assert rules(HISTORY.replace("message.text", "message.txt"), {"partial": ""}) == [("error", 5)]


def test_a_syntax_error_is_found():
    assert rules("- name: card\n  content: {{ a b }}\n", {}) == [("error", 2)]


def test_all_missing_data_are_found_at_once():
    text = card("{{ who.name }} {{ who.age }}\n    {{ mood }}\n    {{ who.name.last }}")
    found_rules = rules(text, {"who": {"name": "Mira"}, "partial": ""})
    assert found_rules == [("missing-data", 4), ("missing-data", 5), ("missing-data", 6)]


def test_what_a_template_asks_for_first_is_not_missing():
    text = card("{% if mood is defined %}{{ mood }}{% endif %}{{ place | default('here') }}")
    assert found(text, {"partial": ""}) == []


def test_data_are_followed_through_loops_and_names():
    text = card(
        "{% set all = scene.people %}{% for one in all %}{{ one.name }}{{ one.age }}"
        "{{ loop.index }}{% endfor %}"
    )
    data = {"scene": {"people": [{"name": "Bo", "age": 3}, {"name": "Mira"}]}, "partial": ""}
    (one,) = found(text, data)
    assert one.message.startswith("the data have no 'scene.people[].age'")


def test_an_included_file_has_its_own_lines():
    files = {
        "t.yaml": "{% include 'card.yaml' %}\n" + HISTORY,
        "card.yaml": "- name: card\n  role: system\n  content: |\n    {{ nobody }}\n",
    }
    (one,) = lint("t.yaml", loaders.strings(files), {"partial": ""})
    assert (one.template, one.line, one.rule) == ("card.yaml", 4, "missing-data")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{% if false %}x{% endif %}", 4),
        ("{% if 1 > 2 %}x{% else %}y{% endif %}", 4),
        ("{% if a %}\n    {% if not a %}x{% endif %}{% endif %}", 5),
        ("{% if a %}x\n    {% elif a %}y{% endif %}", 5),
        ("{% if a and b %}{% if b %}x{% else %}\n    y{% endif %}{% endif %}", 4),
        ("{% if a or b %}x{% else %}\n    {% if b %}x{% endif %}{% endif %}", 5),
        ("{% if not a %}x{% else %}\n    {% if not a %}x{% endif %}{% endif %}", 5),
        ("{% if true %}x\n    {% elif a %}y{% endif %}", 5),
        ("{% for x in [] %}{{ x }}{% endfor %}", 4),
    ],
)
def test_dead_branches_are_found(text, line):
    assert rules(card(text), {"a": 1, "b": 2, "partial": ""}) == [("dead-branch", line)]


@pytest.mark.parametrize(
    "text",
    [
        "{% if a %}x{% elif b %}y{% else %}z{% endif %}",
        "{% if a or b %}{% if a %}x{% else %}y{% endif %}{% endif %}",
        "{% if a and b %}x{% elif a %}y{% elif b %}z{% endif %}",
        "{% for a in list %}{% if a %}x{% endif %}{% endfor %}",
        "{% if a %}{% for a in list %}{% if a %}x{% else %}y{% endif %}{% endfor %}{% endif %}",
        "{% set n = namespace(x=1) %}{% if n.x %}{% set n.x = 0 %}{% if n.x %}y{% else %}z"
        "{% endif %}{% endif %}",
    ],
)
def test_live_branches_are_not(text):
    assert rules(card(text), {"a": 1, "b": 2, "list": [1, 0], "partial": ""}) == []


def test_a_timestamp_before_the_history_costs_nearly_all():
    (one,) = found(card("It is {{ now }}."), {"now": "2026-11-21 10:00", "partial": ""})
    assert (one.rule, one.line) == ("volatile-before-history", 4)
    assert 0.7 < one.cost < 1
    assert f"{one.cost:.0%} of each prompt" in one.message


def test_after_the_history_it_costs_nothing():
    text = card("You are Mira.").replace("- name: answer", "- name: now\n  role: system\n  "
                                         "content: It is {{ now }}.\n- name: answer")  # fmt: skip
    assert found(text, {"now": "2026-11-21 10:00", "partial": ""}) == []


def test_what_the_author_names_is_volatile_too():
    data = {"scene": {"light": "dim"}, "partial": ""}
    assert found(card("{{ scene.light }}"), data) == []
    (one,) = found(card("{{ scene.light }}"), data, volatile=["scene.light"])
    assert one.rule == "volatile-before-history"


def test_a_late_value_costs_less_than_an_early_one():
    def cost(text):
        (one,) = found(card(text), {"now": "10:00", "long": "word " * 1500, "partial": ""})
        return one.cost

    assert cost("{{ long }} {{ now }}") < cost("{{ now }} {{ long }}") - 0.2


@pytest.mark.parametrize(
    "block",
    [
        "{{ examples[seed % 3] }}",
        "{% for one in examples[seed:seed + 2] %}{{ one }}{% endfor %}",
    ],
)
def test_a_rotating_block_of_examples_is_found(block):
    data = {"examples": ["Tea?", "Rum?", "Ahoy!", "Fog."], "seed": 1, "partial": ""}
    (one,) = found(card(block), data)
    assert one.rule == "rotating-block"
    assert one.cost > 0.5


def test_messages_that_cannot_go_are_found():
    text = card("x").replace("  truncation_priority: 1\n", "")
    assert [one.rule for one in found(text, {"partial": ""})] == ["never-cut"]


def test_every_rule_is_known():
    assert set(RULES) == {
        "error", "unknown-key", "missing-data", "dead-branch", "volatile-before-history",
        "rotating-block", "never-cut",
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(statement)
def test_any_template_has_findings_and_no_accidents(text):
    for one in lint("t", lambda name: text if name == "t" else FILES(name), ANY_DATA, ANY_HISTORY):
        assert one.rule in RULES
