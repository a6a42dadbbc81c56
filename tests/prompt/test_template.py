"""Templates: Prompt Poet's format, and errors that name template, line and part."""

from __future__ import annotations

import pytest

from tests.prompt.support import said
from troupe.prompt import (
    DataError,
    LimitExceeded,
    Limits,
    PromptError,
    Section,
    Template,
    TemplateError,
)

POET = """\
- name: system instructions
  role: system
  truncation_priority: 0
  content: |
    Your name is {{ character_name }} and you are helpful.

{% for message in history %}
- name: chat_message
  role: "{{ message.role }}"
  truncation_priority: 5
  content: |
    {{ message.name }}: {{ message.text }}
{% endfor %}

{% if modality == "audio" %}
- name: modality
  content: |
    {{ username }} speaks aloud: keep it short.
{% endif %}
- name: response
  role: assistant
  content: |
    {{ character_name }}:<|space|>
"""
POET_DATA = {"character_name": "Mira", "username": "Ada", "modality": "text"}


def render(text: str, **data: object) -> list[tuple[str, str, str]]:
    parts = Template.parse(text, "t").render(data)
    return [(part.name, part.role, part.content) for part in parts]


def test_a_published_template_gives_its_parts_in_order():
    history = [said(1, "Hello"), said(2, "*waves*", "char", "Mira")]
    parts = Template.parse(POET).render(POET_DATA, history)
    assert [(p.name, p.role, p.content, p.truncation_priority) for p in parts] == [
        ("system instructions", "system", "Your name is Mira and you are helpful.", 0),
        ("chat_message", "user", "Ada: Hello", 5),
        ("chat_message", "char", "Mira: *waves*", 5),
        ("response", "char", "Mira: ", 0),
    ]


def test_conditions_choose_parts():
    parts = Template.parse(POET).render(POET_DATA | {"modality": "audio"})
    assert [p.name for p in parts] == ["system instructions", "modality", "response"]


def test_sections_are_kept_by_name_and_joined_as_content():
    template = Template.parse(
        "- name: card\n  sections:\n"
        '    - name: who\n      content: "{{ name }}\\n"\n'
        "    - name: what\n      content: '{{ text }}'\n"
    )
    (part,) = template.render({"name": "Mira", "text": ""})
    assert part.sections == (Section("who", "Mira\n"), Section("what", ""))
    assert part.content == "Mira\n"


def test_a_role_is_the_users_when_none_is_given():
    assert render("- name: a\n  content: b") == [("a", "user", "b")]


def test_loops_inside_a_part_and_loop_variables_work():
    text = "- name: a\n  content: "
    text += "{% for x in xs %}{{ loop.index }}{{ x }}{{ ',' if not loop.last }}{% endfor %}"
    assert render(text, xs=["p", "q"]) == [("a", "user", "1p,2q")]


def test_names_set_before_the_history_serve_its_loop_too():
    text = (
        "{% set mark = '>> ' %}- name: a\n  content: x\n"
        "{% for m in history %}\n- name: m\n  content: '{{ mark }}{{ m.text }}'\n{% endfor %}"
    )
    parts = Template.parse(text).render({}, [said(1, "hi")])
    assert [p.content for p in parts] == ["x", ">> hi"]


def test_a_value_may_give_a_number_for_the_priority():
    (part,) = Template.parse("- name: a\n  content: b\n  truncation_priority: {{ n }}").render(
        {"n": 3}
    )
    assert part.truncation_priority == 3


def test_a_value_cannot_speak_for_the_system():
    template = Template.parse("- name: a\n  role: '{{ r }}'\n  content: b")
    assert template.render({"r": "user"})[0].role == "user"
    with pytest.raises(TemplateError, match="role 'system'"):
        template.render({"r": "system"})


@pytest.mark.parametrize(
    ("text", "line", "part", "why"),
    [
        ("- name: a\n  content: b\n- name: c\n  content: {{ nope }}", 4, "c", "is undefined"),
        ("- name: a\n  content: {{ x.nope }}", 2, "a", "nope"),
        ("- name: a\n  content: b\n\n- name: c\n  rol: user\n  content: d", 4, "c", "no key 'rol'"),
        (
            "{% for x in xs %}\n- name: a\n  content: {{ x }}\n{% endfor %}\n- name: b\n"
            "  role: king\n  content: c",
            6, "b", "role 'king'",
        ),
        ("- name: a\n  content: b\n- content: c", 3, None, "needs a name"),
        ("- name: a\n  content: b\n  sections: []", 1, "a", "either content or sections"),
        ("- name: a\n  content: b\n  content: c", 3, None, "stands twice"),
        ("- name: a\n  content: &x b\n- name: c\n  content: *x", 2, None, "anchors"),
        ("- name: a\n  content: !!python/name:os.system b", 2, None, "tags"),
        ("name: a\ncontent: b", 1, None, "a list of parts"),
        ("- name: a\n  content: 'b", 2, None, "YAML"),
        ("- name: a\n  content: b\n  tokens: ['{{ x }}']", 3, "a", "never from a value"),
        ("- name: a\n  truncation_priority: -1\n  content: b", 2, "a", "whole number"),
        ("- name: a\n  expected_template_data_keys: [x, missing]\n  content: b", 1, "a", "missing"),
        ("- name: a\n  content: {{ xs }}", 2, "a", "join it"),
    ],
)  # fmt: skip
def test_a_fault_in_rendering_names_template_line_and_part(text, line, part, why):
    with pytest.raises(TemplateError, match="t, line") as caught:
        Template.parse(text, "t").render({"x": "1", "xs": ["p", "q"]})
    assert (caught.value.line, caught.value.part) == (line, part)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{% include 'x' %}", "no file 'x'"),
        ("{% include x %}", "a text in quotes"),
        ("{% extends 'x' %}", "extends"),
        ("{% block a %}{% endblock %}", "block"),
        ("{% filter upper %}a{% endfilter %}", "filterblock"),
        ("{% set x | upper %}y{% endset %}", "no filter"),
        ("{{ x(*y) }}", "names its arguments"),
        ("{{ " + "9" * 5000 + " }}", "digits"),
        ("{{ 0x" + "f" * 5000 + " }}", "a number is over"),
        ("{{ imported_x }}", "may not begin"),
        ("{{ x|safe }}", "filter 'safe'"),
        ("{{ x|pprint }}", "filter 'pprint'"),
        ("{{ 2 ** 9999 }}", "pow"),
        ("{{ [x, x] }}", "constants"),
        ("{% for a in history recursive %}{% endfor %}", "recursive"),
        ("{% if x %}", "Unexpected end"),
        ("{{ history }}", "one loop"),
        ("{% if x %}{% for m in history %}{% endfor %}{% endif %}", "one loop"),
        ("{% for m in history %}{{ x }}{% endfor %}", "its message only"),
        ("{% for m in history %}{{ loop.index }}{% endfor %}", "its message only"),
        ("{% for m in history if m.role %}{% endfor %}", "no condition"),
        ("{% for m in history %}{% endfor %}{% for m in history %}{% endfor %}", "twice"),
        ("a \ue000", "U\\+E000"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
        ("x" * 64_001, "characters"),
    ],
)
def test_what_is_not_allowed_is_refused_when_parsed(text, why):
    with pytest.raises(TemplateError, match=why):
        Template.parse(text, "t")


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ x.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{% for a in xs %}{{ loop.__class__ }}{% endfor %}",
        "{{ xs.append }}",
        "{{ x['__class__'] }}",
        "{{ xs|map(attribute='__class__')|first }}",
        "{{ x() }}",
        "{{ x.format(1) }}",
        "{{ range.__class__ }}",
        "{{ namespace.__init__ }}",
        "{% macro m() %}{% endmacro %}{{ m._func }}",
        "{% macro m() %}{% endmacro %}{{ m.__call__() }}",
        "{% set ns = namespace() %}{{ ns.__class__ }}",
        "{% set ns = namespace() %}{{ ns._Namespace__attrs }}",
        "{% for a in xs %}{{ loop.cycle.__globals__ }}{% endfor %}",
        "{{ cycler('a') }}",
        "{{ 1|round(999999999, 'ceil') }}",
        "{{ ('f' * 9)|int }}",
        "{{ 'ffffffffffffffff'|int(0, 16) }}",
    ],
)
def test_nothing_of_python_can_be_reached(text):
    with pytest.raises(TemplateError):
        Template.parse(text).render({"x": "1", "xs": ["p"]})


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in xs %}{% for b in xs %}{% for c in xs %}{% endfor %}{% endfor %}{% endfor %}",
        "{% set a = x ~ x %}" + "{% set a = a ~ a %}" * 40,
        "{% set a = x + x %}" + "{% set a = a + a %}" * 40,
        "{% for a in xs %}{{ x }}{{ x }}{% endfor %}",
        "{{ xs|join(x) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) ~ m(n - 1) }}{% endif %}{% endmacro %}{{ m(25) }}",
        "{% set a %}- name: a\n  content: {{ x }}{% endset %}" + "{{ a }}\n" * 20,
        "{% set a %}{{ x }}{{ x }}{{ x }}{% endset %}" + "{{ a ~ '' }}" * 5,
        "{{ range(2000)|list }}",
        "{{ x|replace('y', x) }}",
        "{{ x|upper|lower|upper|lower|upper|lower|upper|lower|upper|lower|upper }}",
    ],
)
def test_a_template_cannot_take_more_than_its_limits(text):
    template = Template.parse(text, limits=Limits(steps=1000, chars=10_000))
    with pytest.raises(LimitExceeded):
        template.render({"x": "y" * 1000, "xs": ["p"] * 100})


def test_too_many_parts_are_refused():
    text = "{% for a in xs %}\n- name: a\n  content: b\n{% endfor %}"
    with pytest.raises(LimitExceeded, match="line 2: more than 10 parts"):
        Template.parse(text, limits=Limits(parts=10)).render({"xs": ["p"] * 11})


@pytest.mark.parametrize("depth", [100, 20_000])
def test_yaml_nested_deeply_is_refused_and_does_no_harm(depth):
    with pytest.raises(TemplateError):
        Template.parse("- name: a\n  content: " + "[" * depth).render({})


def test_numbers_cannot_grow_without_end():
    text = "{% set a = 9007199254740992 * 9007199254740992 %}"
    with pytest.raises(TemplateError, match="gives a number over"):
        Template.parse(text).render({})


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"a": {"b": "\ud800"}}, "a.b"),
        ({"a": [object()]}, r"a\[0\]"),
        ({"a": 10**400}, "a"),
        ({"a": {1: "x"}}, "a"),
        ({"a": [[[[[[[[[1]]]]]]]]]}, "a"),
    ],
)
def test_data_that_has_no_text_is_named(value, key):
    with pytest.raises(DataError, match=f"card.yaml: template data '{key}"):
        Template.parse("- name: a\n  content: b", "card.yaml").render(value)


def test_a_message_with_half_a_surrogate_pair_is_refused():
    template = Template.parse(POET)
    with pytest.raises(PromptError, match=r"history\.text"):
        template.message(said(1, "\udfff"))


def test_values_choose_roles_priorities_and_names_for_each_rendering():
    text = "- name: '{{ n }}!'\n  role: {{ r }}\n  truncation_priority: {{ p }}\n  content: {{ c }}"
    template = Template.parse(text)
    for n, r, p in (("a", "user", 1), ("b", "assistant", 2), ("", "char", 0)):
        (part,) = template.render({"n": n, "r": r, "p": p, "c": n})
        found = (part.name, part.role, part.truncation_priority, part.content)
        assert found == (f"{n}!", "char" if r == "assistant" else r, p, n)
    with pytest.raises(TemplateError, match="part 'c!': the role 'king'"):
        template.render({"n": "c", "r": "king", "p": 1, "c": ""})
    with pytest.raises(TemplateError, match="part 'c!': truncation_priority"):
        template.render({"n": "c", "r": "user", "p": "1 or so", "c": ""})
    with pytest.raises(TemplateError, match="part 'c!': there is no key"):
        Template.parse(text + "\n  weight: 1").render({"n": "c", "r": "user", "p": 1, "c": ""})


@pytest.mark.parametrize("keys", ["x", "{x: y}", "[[x]]"])
def test_expected_keys_are_a_list_of_names(keys):
    with pytest.raises(TemplateError, match=r"a list of names|a text is wanted"):
        Template.parse(f"- name: a\n  content: b\n  expected_template_data_keys: {keys}").render({})


def test_a_mark_that_no_expression_made_is_refused():
    with pytest.raises(TemplateError, match="line 2, part 'a': a mark"):
        Template.parse('- name: a\n  content: "\\uE0005\\uE001"').render({})
