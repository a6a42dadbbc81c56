"""What is set before the history is known in it and after it, and what a value may not name."""

from __future__ import annotations

import pytest

from tests.prompt.support import said
from troupe.prompt import Template, TemplateError


def contents(text: str, **data: object) -> list[str]:
    return [part.content for part in Template.parse(text).render(data, [said(1, "hi")])]


LOOP = "{% for m in history %}\n- name: m\n  content: '{{ m.text }}{{ mark }}'\n{% endfor %}"
LAST = "- name: z\n  content: '{{ x }}'\n"


@pytest.mark.parametrize(("n", "found"), [(1, "one"), (2, "two"), (3, "start"), (4, "four")])
def test_names_set_by_a_condition_are_known_after_the_history(n, found):
    text = (
        "{% set x = 'start' %}{% if n == 1 %}\n- name: a\n  content: first\n{% set x = 'one' %}\n"
        "{% elif n == 2 %}{% if true %}{% set x = 'two' %}{% endif %}\n"
        "{% elif n == 3 %}{% else %}{% set x %}four{% endset %}{% endif %}\n"
        "{% set mark = '!' %}" + LOOP + LAST
    )
    assert contents(text, n=n) == (["first"] if n == 1 else []) + ["hi!", found]


def test_a_condition_that_the_messages_depend_on_uses_no_data():
    text = "{% if n %}{% set mark = 1 %}{% endif %}" + LOOP
    with pytest.raises(TemplateError, match=r"may use its message only, not .*n"):
        Template.parse(text)
    text = "{% if 1 < 2 %}{% set mark = 1 %}{% else %}{% set mark = 2 %}{% endif %}" + LOOP
    assert contents(text) == ["hi1"]


def test_a_value_may_name_a_section_but_not_the_one_that_says_who_speaks():
    text = "- name: a\n  sections:\n    - {name: 's{{ x }}', content: c}"
    assert Template.parse(text).render({"x": 1})[0].sections[0].name == "s1"
    with pytest.raises(TemplateError, match="no value can name a section 'speaker'"):
        Template.parse(text).render({"x": "peaker"})


def test_a_message_may_name_a_section():
    text = (
        "{% for m in history %}\n- name: m\n  sections:\n"
        "    - {name: 'of {{ m.name }}', content: '{{ m.text }}'}\n{% endfor %}"
    )
    (part,) = Template.parse(text).message(said(1, "hi"))
    assert [(s.name, s.content) for s in part.sections] == [("of Ada", "hi")]


def test_keys_are_expected_outside_of_the_history_alone():
    key = "  expected_template_data_keys: [x]\n"
    assert contents(f"- name: a\n  content: b\n{key}" + LOOP.replace("{{ mark }}", ""), x=1) == [
        "b",
        "hi",
    ]
    loop = LOOP.replace("{{ mark }}", "").replace("'\n{%", f"'\n{key}{{%")
    with pytest.raises(TemplateError, match="outside of the loop"):
        contents(loop, x=1)
