"""Strangers' text never becomes structure or special tokens, and arrives byte for byte."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from tests.prompt.support import SPECIAL, TOKENIZER, said, texts
from troupe.prompt import ChatFormat, PromptError, Template, compile_prompt, loaders

STYLES = Template.parse(
    """\
- name: plain
  role: system
  content: {{ a }}
- name: quoted
  content: "{{ a }} and {{ b }}"
- name: single
  content: '{{ b }}'
- name: block
  content: |
    before {{ a }}
    {{ b }} after
- name: folded
  content: >-
    {{ a }}
{%- for x in xs %}
- name: item
  content: {{ x }}
{%- endfor %}
{% for m in history %}
- name: message
  role: {{ m.role }}
  sections:
    - name: speaker
      content: "{{ m.name }}\\n"
    - name: text
      content: "{{ m.text }}"
{% endfor %}
- name: answer
  role: char
  sections:
    - name: speaker
      content: "{{ b }}\\n"
    - name: text
      content: {{ a }}
"""
)


@given(a=texts, b=texts, xs=st.lists(texts, max_size=4), lines=st.lists(texts, max_size=4))
def test_parts_and_every_values_bytes_are_kept(a, b, xs, lines):
    history = [said(n, line, "char" if n % 2 else "user", b) for n, line in enumerate(lines)]
    parts = STYLES.render({"a": a, "b": b, "xs": xs}, history)
    assert [(part.name, part.role, part.content) for part in parts] == [
        ("plain", "system", a),
        ("quoted", "user", f"{a} and {b}"),
        ("single", "user", b),
        ("block", "user", f"before {a}\n{b} after"),
        ("folded", "user", a),
        *[("item", "user", x) for x in xs],
        *[("message", m.role, f"{b}\n{m.text}") for m in history],
        ("answer", "char", f"{b}\n{a}"),
    ]


@given(a=texts, b=texts, lines=st.lists(texts, max_size=4))
def test_special_tokens_come_from_the_layout_alone(a, b, lines):
    history = [said(n, line) for n, line in enumerate(lines)]
    data = {"a": a, "b": b, "xs": []}
    prompt = compile_prompt(STYLES, data, history, TOKENIZER, ChatFormat.TOKENS, 10**6)
    assert prompt.token_ids is not None
    special = {TOKENIZER.special(name) for name in SPECIAL}
    found = [token for token in prompt.token_ids if token in special]
    end = TOKENIZER.special("<|end|>")
    wanted = [TOKENIZER.special("<bos>")]
    for part in prompt.parts:
        wanted += [TOKENIZER.special(f"<|{part.role}|>"), end]
    assert found == wanted[:-1]  # the answer is left open


FILES = loaders.strings(
    {
        "macros": """\
{% set end = '.' %}
{% macro part(name, text) %}
- name: {{ name }}
  sections:
    - name: first
      content: "{{ caller() }}"
    - name: second
      content: "{{ text }}{{ end }}"
{% endmacro %}
{% macro line(who, text) %}{{ who }}: {{ text }}{% endmacro %}
""",
        "card": """\
{% set title = name %}
- name: card
  role: system
  content: |
    {{ title }}
    {%- for fact in facts if fact %}
    * {{ fact }}
    {%- endfor %}
""",
        "chat": """\
{% from 'macros' import line %}
{% for m in history %}
- name: "{{ m.name }}."
  role: {{ m.role }}
  content: '{{ line(m.name, m.text) }}'
{% endfor %}
""",
    }
)
PIECES = Template.parse(
    """\
{% import 'macros' as m %}
{% include 'card' %}
{% for fact in facts %}
{% call m.part('fact', fact) %}{{ loop.index }}{{ name }}{% endcall %}
{% endfor %}
{% include 'chat' %}
{% set whole %}{{ name }}{% for fact in facts %}{{ fact }}{% endfor %}{% endset %}
- name: {{ "end" }}
  role: char
  sections:
    - name: speaker
      content: "{{ whole ~ m.line(name, name) }}"
    - name: text
      content: {{ escape_special_characters(whole) }}
""",
    loader=FILES,
)


@given(name=texts, facts=st.lists(texts, max_size=4), lines=st.lists(texts, max_size=4))
def test_nothing_is_lost_in_macros_loops_sections_and_included_files(name, facts, lines):
    history = [said(n, line, "char" if n % 2 else "user", name) for n, line in enumerate(lines)]
    parts = PIECES.render({"name": name, "facts": facts}, history)
    whole = name + "".join(facts)
    assert [(p.name, p.role, [s.name for s in p.sections], p.content) for p in parts] == [
        ("card", "system", ["content"], "\n".join([name, *(f"* {f}" for f in facts if f)])),
        *[
            ("fact", "user", ["first", "second"], f"{n}{name}{fact}.")
            for n, fact in enumerate(facts, 1)
        ],
        *[(f"{name}.", m.role, ["content"], f"{name}: {m.text}") for m in history],
        ("end", "char", ["speaker", "text"], f"{whole}{name}: {name}{whole}"),
    ]


@given(text=st.text(alphabet="-{}%#|>:&*!'\"[] \nabname", max_size=60))
def test_any_template_source_is_parsed_or_refused(text):
    with suppress(PromptError):
        Template.parse(text).render({"a": "b"}, [said(1, "c")])
