"""What a stranger's template may not do with time, memory and Python's own limits."""

from __future__ import annotations

import pytest

from troupe.prompt import LimitExceeded, Limits, Template, TemplateError

LONG = "b" * 300_000
DATA = {"x": LONG, "xs": ["p"] * 2000, "one": [LONG], "lists": [[]] * 10}


@pytest.mark.parametrize(
    "text",
    [
        "{% if 'z' in xs or 'y' in xs %}{% endif %}" * 100,
        "{% if x == 'y' %}{% endif %}" * 100,
        "{% set a = xs|map(attribute='" + ".".join("0" * 2000) + "')|list %}",
        "{% set a = xs|select('in', xs)|list %}",
        "{% if x is lower %}{% endif %}" * 100,
        "{% for a in xs %}{% for b in xs %}{% endfor %}{% endfor %}",
        "{% set a %}{{ x }}{% endset %}" + "{% if a == 'y' %}{% endif %}" * 100,
        "{% set a = " + " + ".join("1" * 100) + " %}" + "{% set a = (a + 1) % 7 %}" * 1000,
    ],
)
def test_the_clock_is_read_wherever_time_goes(text):
    template = Template.parse(text, limits=Limits(cpu_seconds=0.0, steps=10**9))
    with pytest.raises(LimitExceeded, match="0 s of computing"):
        template.render(DATA)


@pytest.mark.parametrize(
    "many",
    [
        "{{% set a{n} = x[1:] %}}",
        "{{% set a{n} = x|list %}}",
        "{{% set a{n} = x|trim %}}",
        "{{% set a{n} = range(20000)|list %}}",
        "{{% set a{n} = x|replace('c', 'd') %}}",
        "{{% set a{n} %}}{{{{ x }}}}{{% endset %}}",
    ],
)
def test_what_is_kept_has_an_end(many):
    template = Template.parse("".join(many.format(n=n) for n in range(200)))
    with pytest.raises(LimitExceeded, match="characters"):
        template.render(DATA)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ lists|sum(start=xs) }}", "sum takes numbers"),
        ("{{ xs|sum }}", "sum takes numbers"),
        ("{{ [9007199254740991, 2]|sum }}", "over"),
        ("{{ x|trim(x) }}", "up to 100 characters"),
        ("{{ 1|round(999999999, 'ceil') }}", "precision"),
        ("{{ ('f' ~ 'f' * 1)|int }}", "takes numbers"),
        ("{{ lists[0:1:0] }}", "zero"),
        ("{{ 1[0:1] }}", "cannot be cut"),
        ("{{ range(1, 9007199254740991) }}", "a range of more"),
    ],
)
def test_what_would_grow_faster_than_its_data_is_refused(text, why):
    with pytest.raises(TemplateError, match=why):
        Template.parse(text).render(DATA)


def nested(begin: str, end: str, depth: int) -> str:
    return begin * depth + end * depth


@pytest.mark.parametrize(
    "text",
    [
        nested("{% for a in 'x' %}", "{% endfor %}", 25),
        nested("{% if 1 %}", "{% endif %}", 300),
        nested("{% macro a() %}", "{% endmacro %}", 300),
        nested("{% set a %}", "{% endset %}", 300),
        "{% if 1 %}" + "{% elif 1 %}" * 3000 + "{% endif %}",
        "{{ " + "+".join(["1"] * 20_000) + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ x" + ".a" * 20_000 + " }}",
        "{{ x" + "|upper" * 8000 + " }}",
        "{{ " + "1 if 1 else " * 4000 + "1 }}",
        "{{ " + "f(" * 3000 + ")" * 3000 + " }}",
        "{{ " + "[" * 3000 + "]" * 3000 + " }}",
        "{{ " + "'a' ~ (" * 3000 + "1" + ")" * 3000 + " }}",
    ],
)
def test_what_is_nested_too_deeply_is_refused_when_parsed(text):
    with pytest.raises(TemplateError, match="nested too deeply"):
        Template.parse(text)


def test_slices_are_what_they_were():
    text = "- name: a\n  content: '{{ x[1:] }} {{ x[:2] }} {{ x[-1:] }} {{ x[::2] }} {{ x[a:b] }}'"
    (part,) = Template.parse(text).render({"x": "abcd", "a": 1, "b": 3})
    assert part.content == "bcd ab d ac bc"


def test_sums_have_attributes_and_beginnings():
    text = (
        "- name: a\n  content: {{ xs|sum(attribute='n') + xs|map(attribute='n')|sum(start=1.5) }}"
    )
    assert Template.parse(text).render({"xs": [{"n": 1}, {"n": 2}]})[0].content == "7.5"


@pytest.mark.parametrize("name", ["string", "upper", "title", "trim", "replace('a', 'b')"])
@pytest.mark.parametrize("what", ["range", "xs", "xs|map('upper')", "namespace()", "m", "loop"])
def test_pythons_text_for_what_has_none_is_not_shown(name, what):
    text = (
        f"{{% macro m() %}}{{% endmacro %}}{{% for a in xs %}}{{{{ {what}|{name} }}}}{{% endfor %}}"
    )
    with pytest.raises(TemplateError, match="has no text of its own"):
        Template.parse(text).render(DATA)


def test_numbers_and_what_macros_gave_are_texts_to_filters():
    text = "{% macro m(x) %}<{{ x }}>{% endmacro %}- name: a\n  content: '{{ m('b')|upper }}"
    text += "{{ 1.5|string|replace('.', ',') }}{{ none|trim }}{{ true|lower }}"
    text += "{{ 'abc'|truncate(2, true, '', 0) }}'"
    assert Template.parse(text).render({})[0].content == "<B>1,5trueab"


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in xs %}" + "- {name: a, content: b}\n" * 9 + "{% endfor %}",
        "- name: a\n  content: b\n  tokens: [{% for a in xs %}" + "1," * 60 + "{% endfor %}]",
    ],
)
def test_a_list_without_end_is_read_no_further(text):
    with pytest.raises(LimitExceeded, match="keys and texts"):
        Template.parse(text).render(DATA)
