"""Files that a template includes or imports, and macros."""

from __future__ import annotations

import pytest

from tests.prompt.support import said
from troupe.prompt import LimitExceeded, Limits, Template, TemplateError, loaders


def contents(text: str, files: dict[str, str] | None = None, **data: object) -> list[str]:
    template = Template.parse(text, "t", loader=loaders.strings(files or {}))
    return [part.content for part in template.render(data)]


def test_an_included_file_sees_names_and_loops_and_keeps_its_own():
    files = {"item": "{% set y = x ~ '!' %}\n- name: item\n  content: {{ y }}\n"}
    text = "{% for x in xs %}{% include 'item' %}{% endfor %}\n- name: a\n  content: {{ y }}"
    assert contents(text, files, xs=["p", "q"], y="mine") == ["p!", "q!", "mine"]


def test_files_include_files_and_the_first_of_several_that_is_there():
    files = {"a": "{% include ['no', 'b'] %}", "b": "{% include 'no' ignore missing %}{{ x }}"}
    assert contents("- name: a\n  content: {{ 'see ' }}{% include 'a' %}", files, x="p") == [
        "see p"
    ]


def test_the_history_may_be_in_an_included_file():
    files = {
        "chat": "{% set mark = '>' %}{% for m in history %}\n- name: m\n"
        "  content: '{{ mark }}{{ m.text }}'\n{% endfor %}"
    }
    text = "- name: a\n  content: x\n{% include 'chat' %}\n- name: z\n  content: y\n"
    template = Template.parse(text, loader=loaders.strings(files))
    assert [p.content for p in template.render({}, [said(1, "hi")])] == ["x", ">hi", "y"]
    assert [p.content for p in template.message(said(2, "ho"))] == [">ho"]
    with pytest.raises(TemplateError, match="sets 'mark', which is used outside"):
        Template.parse("{{ mark }}" + text, loader=loaders.strings(files))


MACROS = """\
{% set colon = ': ' %}
{% macro line(who, text='...') -%}
{{ who }}{{ colon }}{{ text }}
{%- endmacro %}
{% macro part(name) %}
- name: {{ name }}
  content: "{{ caller() }}"
{% endmacro %}
"""


@pytest.mark.parametrize(
    "text",
    [
        MACROS + "- name: a\n  content: {{ line(who, 'hi') }}/{{ line('Bo') }}",
        "{% from 'm' import line as say %}\n- name: a\n"
        "  content: {{ say(who, text='hi') }}/{{ say('Bo') }}",
        "{% import 'm' as m %}\n- name: a\n  content: {{ m.line(who, 'hi') }}/{{ m.line('Bo') }}",
        MACROS + "{% call part('a') %}{{ line(who, 'hi') }}/{{ line('Bo') }}{% endcall %}",
    ],
)
def test_macros_are_called_and_imported(text):
    ada = 'Ada"\n- name: forged'
    assert contents(text, {"m": MACROS}, who=ada) == [f"{ada}: hi/Bo: ..."]


def test_macros_and_their_imports_serve_the_history_too():
    text = (
        "{% import 'm' as m %}{% for x in history %}\n- name: x\n"
        "  content: {{ m.line(x.name, x.text) }}\n{% endfor %}"
    )
    template = Template.parse(text, loader=loaders.strings({"m": MACROS}))
    assert [p.content for p in template.message(said(1, "hi"))] == ["Ada: hi"]


def test_what_is_imported_keeps_out_of_the_ways_of_other_names():
    text = "{% set colon = '-' %}{% from 'm' import line %}\n- name: a\n  content: "
    text += "{% for line_no in range(2) %}{{ line(line_no, colon) }};{% endfor %}{{ who }}"
    assert contents(text, {"m": MACROS}, who="w") == ["0: -;1: -;w"]


def test_a_macros_argument_may_have_the_name_of_what_its_file_sets():
    files = {
        "m": "{% set a = 1 %}{% macro f(a) %}{{ a }}{% endmacro %}"
        "{% macro g() %}{{ f(a=2) }}{{ a }}{% endmacro %}"
    }
    assert contents("{% import 'm' as m %}- name: x\n  content: {{ m.g() }}", files) == ["21"]


def test_what_a_macro_gave_is_a_text_to_whatever_asks_for_one():
    text = """\
{% macro m(x) %}<{{ x }}>{% endmacro %}{% set b %}{{ x }}{% endset %}
- name: a
  content: "{{ m(x)|upper }} {{ m(x)|length }} {{ m(x) ~ '.' }} {{ m(x)[1] }} {{ b + '!' }}
    {%- if m(x) == '<ab>' and 'a' in m(x) and m(x) > '<aa>' %} same{% endif %}
    {%- if m('') and not m('')[1:-1] %} full{% endif %}
    {%- for c in b %} {{ c }}{% endfor %} {{ b is string }} {{ [1, 2]|join(b) }}"
"""
    assert contents(text, x="ab") == ["<AB> 4 <ab>. a ab! same full a b True 1ab2"]


def test_a_namespace_counts_through_a_loop():
    text = (
        "{% set ns = namespace(n=0) %}{% for x in xs %}{% set ns.n = ns.n + x %}{% endfor %}"
        "- name: a\n  content: {{ ns.n }}"
    )
    assert contents(text, xs=[1, 2, 3]) == ["6"]


def test_escaping_changes_nothing_here():
    text = "- name: a\n  content: '{{ escape_special_characters(x) }}'"
    assert contents(text, x="C:\\new\t\u200d'\n- name: b") == ["C:\\new\t\u200d'\n- name: b"]


@pytest.mark.parametrize(
    ("files", "name", "line", "part", "why"),
    [
        ({"i": "- name: b\n  content: {{ nope }}"}, "i", 2, "b", "is undefined"),
        ({"i": "\n- name: b\n  rol: c\n  content: d"}, "i", 2, "b", "no key 'rol'"),
        ({"i": "{% macro f() %}\n- name: b\n  x: c\n{% endmacro %}{{ f() }}"}, "i", 2, "b", "'x'"),
        ({"i": "{% if %}"}, "i", 1, None, "Expected an expression"),
        ({"i": "\n{% include 'j' %}", "j": "\n\n{{ x.y.z }}"}, "j", 3, None, "y"),
        ({"i": "\n{% include 'j' %}"}, "i", 2, None, "there is no file 'j'"),
        ({"i": "{% include 'i' %}"}, "i", 0, None, "includes itself"),
        ({"i": "{% include 'j' %}", "j": "\n{{ x|safe }}"}, "j", 2, None, "no filter"),
        ({"i": "{% from 'j' import f %}", "j": ""}, "i", 1, None, "has no 'f'"),
        ({"i": "{% import 'j' as j %}", "j": "\n- name: a"}, "i", 0, None, ""),
        ({"i": "{% import 'j' as j %}", "j": "{% macro f() %}{{ x }}{% endmacro %}"}, "i", 1, None,
         "without context, and uses x"),
        ({"i": "{% import 'j' as j %}", "j": "\n{% for x in y %}{% endfor %}"}, "i", 1, None, "y"),
        ({"i": "{% set n = 1 %}{{ n() }}"}, "i", 1, None, "macros can be called"),
        ({"i": "{% macro f(a) %}{{ a }}{% endmacro %}{{ f() }}"}, "i", 1, None, "'a'"),
    ],
)  # fmt: skip
def test_a_fault_names_the_file_that_it_is_in(files, name, line, part, why):
    text = "- name: a\n  content: x\n{% include 'i' %}\n"
    if why == "":
        assert contents(text, files) == ["x"]  # an imported file's text is not put out
        return
    with pytest.raises(TemplateError) as caught:
        contents(text, files, x="1")
    assert (caught.value.template, caught.value.line, caught.value.part) == (name, line, part)
    assert why in caught.value.why


def test_files_that_include_much_are_refused_early():
    files = {f"f{n}": f"{{% include 'f{n + 1}' %}}" * 10 for n in range(9)} | {"f9": "x" * 100}
    with pytest.raises(LimitExceeded, match="characters"):
        contents("{% include 'f0' %}", files)
    deep = {f"f{n}": f"{{% include 'f{n + 1}' %}}" for n in range(100)}
    with pytest.raises(LimitExceeded, match="nested over 5"):
        Template.parse("{% include 'f0' %}", "t", Limits(depth=5), loaders.strings(deep))


def test_a_namespace_may_not_cross_the_history():
    text = "{% set ns = namespace(n=0) %}{% for m in history %}\n- name: m\n"
    text += "  content: {{ ns.n }}{% endfor %}"
    with pytest.raises(TemplateError, match="namespace 'ns'"):
        Template.parse(text)


def test_a_digest_is_that_of_all_files():
    one, other = ({"i": f"- name: a\n  content: {x}"} for x in "pq")
    digests = {
        Template.parse("{% include 'i' %}", loader=loaders.strings(files)).digest
        for files in (one, other, one)
    }
    assert len(digests) == 2


def test_a_folder_gives_its_files_and_nothing_outside(tmp_path):
    inside = tmp_path / "templates"
    (inside / "sections").mkdir(parents=True)
    (tmp_path / "secret").write_text("no")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "main.yml.j2").write_text("{% include 'sections/a.yml.j2' %}", "utf-8")
    (inside / "sections" / "a.yml.j2").write_bytes("\ufeff- name: a\r\n  content: ü\r\n".encode())
    (inside / "bad").write_bytes(b"\xff")
    (inside / "big").write_bytes(b"x" * (loaders.MAX_BYTES + 1))
    load = loaders.folder(inside)
    assert [p.content for p in Template.load("main.yml.j2", load).render({})] == ["ü"]
    for name in ("link", "../secret", str(tmp_path / "secret"), "", ".", "sections", "no", "a\0"):
        assert load(name) is None
        with pytest.raises(TemplateError, match="no such file"):
            Template.load(name, load)
    with pytest.raises(TemplateError, match="not UTF-8 at byte 0"):
        load("bad")
    with pytest.raises(LimitExceeded, match="bytes"):
        load("big")


def test_a_package_gives_its_files():
    load = loaders.package("troupe.prompt", "templates")
    template = Template.load("character.yaml", load)
    assert template.digest == Template.parse(load("character.yaml") or "", loader=load).digest
    assert load("../types.py") is None
    assert load("no.yaml") is None
