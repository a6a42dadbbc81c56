"""Any template that can be put together is rendered or refused, and its values decide nothing that
it does not ask of them."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prompt.support import HOSTILE, said, texts
from troupe.prompt import Limits, PromptError, Template, loaders

NAMES = [
    "a",
    "b",
    "xs",
    "d",
    "history",
    "m",
    "loop",
    "f",
    "ns",
    "caller",
    "varargs",
    "nope",
    "range",
]
FILTERS = [
    "upper", "trim", "length", "join", "join(a)", "first", "list", "sort", "unique", "reverse",
    "map('upper')", "map(attribute='k')", "select", "sum", "int", "round(2)", "replace(a, b)",
    "default(b)", "truncate(3)", "items", "dictsort", "string", "names(a, b)", "min", "wordcount",
]  # fmt: skip


def expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}|{}".format, inner, st.sampled_from(FILTERS)),
        st.builds("({} {} {})".format, inner, st.sampled_from(
            ["~", "+", "-", "*", "//", "%", "/", "==", "<", "in", "not in", "and", "or"]), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from(["k", "index", "n", "__class__"])),
        st.builds("{}({})".format, st.sampled_from([*NAMES, "namespace", "loop.cycle"]), inner),
        st.builds("({} is {})".format, inner, st.sampled_from(["defined", "string", "mapping"])),
        st.builds("[1, 'x']|join({})".format, inner),
    )  # fmt: skip


atom = st.sampled_from([*NAMES, "1", "-2", "2.5", "'x'", "true", "none"])
expression: st.SearchStrategy[str] = st.deferred(lambda: atom | atom | expressions(expression))
data_text = st.text(alphabet="-:nameroltyp \n\"'#", max_size=8)


def statements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    names = st.sampled_from(NAMES)
    return st.one_of(
        st.builds("{{% for {} in {} %}}{}{{% endfor %}}".format, names, expression, inner),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, expression, inner, inner),
        st.builds("{{% macro {}({}) %}}{}{{% endmacro %}}".format, names, names, inner),
        st.builds("{{% call {}({}) %}}{}{{% endcall %}}".format, names, expression, inner),
        st.builds("{{% set {} %}}{}{{% endset %}}".format, names, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("- name: {}\n  content: {}\n".format, inner, inner),
    )


simple = st.one_of(
    data_text,
    st.builds("{{{{ {} }}}}".format, expression),
    st.builds("{{% set {} = {} %}}".format, st.sampled_from([*NAMES, "ns.n"]), expression),
    st.sampled_from([
        "- name: p\n  content: ", "\n- name: q\n  role: system\n  content: |\n    x\n",
        "{% set ns = namespace(n=1) %}", "{% include 'part' %}", "{% include 'self' %}",
        "{% import 'macros' as f %}", "{% from 'macros' import f as m %}", "{{ caller() }}",
        "{% for m in history %}- name: m\n  content: {{ m.text }}\n{% endfor %}", "{{ f.f(a) }}",
    ]),
)  # fmt: skip
statement: st.SearchStrategy[str] = st.deferred(lambda: simple | statements(statement))
FILES = loaders.strings(
    {
        "part": "\n- name: part\n  content: {{ a }}\n",
        "self": "{% include 'self' %}",
        "macros": "{% set k = 1 %}{% macro f(x) %}{{ x }}{{ k }}{% endmacro %}",
    }
)
DATA = {"a": HOSTILE[0], "b": "b", "xs": ["p", "q", HOSTILE[1]], "d": {"k": 1, "n": "v"}}
HISTORY = [said(1, HOSTILE[2]), said(2, "two", "char", HOSTILE[1])]
LIMITS = Limits(steps=500, chars=20_000, cpu_seconds=1.0, depth=8)


@settings(max_examples=60, deadline=None)
@given(statement)
def test_every_error_is_one_of_the_compilers_own(text):
    with suppress(PromptError):
        Template.parse(text, "t", LIMITS, FILES).render(DATA, HISTORY)


value = st.sampled_from(
    ["a", "b", "d.k", "d['n']", "a ~ b", "a + d.n", "a|upper", "b|trim", "xs|join(b)", "xs[1]", "x",
     "a|replace(b, a)", "a|names(b, b)", "a[1:]", "f(a)", "g(b, a)", "ns.t", "t", "xs|last"]
)  # fmt: skip
put = st.builds("{{{{ {} }}}}".format, value)


def straight(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Statements whose way through a template no value decides."""
    return st.one_of(
        st.builds("{{% for x in xs %}}{}{{% endfor %}}".format, inner),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format,
                  st.sampled_from(["true", "nope is defined", "1 > 2"]), inner, inner),
        st.builds("{{% call h('p') %}}{}{{% endcall %}}".format, inner),
        st.builds("{{% set t %}}{}{{% endset %}}".format, put),
        st.builds("{{% set ns.t = {} %}}".format, value),
        st.builds("{}{}".format, inner, inner),
        st.builds("\n- name: n{}\n  content: \"{}{}\"\n".format, put, put, put),
        st.builds("\n- name: n\n  sections:\n    - {{name: s, content: '{}'}}\n"
                  "    - {{content: '{} {}', name: u}}\n".format, put, put, put),
        st.builds("\n- name: n\n  role: system\n  content: |\n    {}\n    {} x\n".format, put, put),
    )  # fmt: skip


BEGIN = """\
{% set ns = namespace(t='') %}{% set t = '' %}{% set x = a %}
{% macro f(v) %}{{ v }}{% endmacro %}{% macro g(v, w) %}{{ f(w) }}, {{ v }}{% endmacro %}
{% macro h(v) %}{{ caller() }}
- name: {{ v }}
  content: '{{ a }}'
{% endmacro %}
"""
structure: st.SearchStrategy[str] = st.deferred(lambda: st.just("") | straight(structure))
small = structure.filter(lambda text: text.count("{% for") + text.count("{% call") < 7)


@given(small, texts, texts, st.lists(texts, min_size=2, max_size=2))
def test_no_value_decides_what_parts_there_are(text, a, b, xs):
    made = []
    for one, other, more in (("p", "q", ["r", "s"]), (a, b, xs)):
        data = {"a": one, "b": other, "xs": more, "d": {"k": other, "n": one}}
        parts = Template.parse(BEGIN + text, "t", loader=FILES).render(data, HISTORY)
        made.append([(p.name[:1], p.role, [s.name for s in p.sections]) for p in parts])
    assert made[0] == made[1]
