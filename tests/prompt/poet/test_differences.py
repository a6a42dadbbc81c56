"""Each difference from the installed package that is on purpose, and the guide that lists them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import tiktoken
import tiktoken.registry

from tests.prompt.poet.support import encode, published, same
from troupe.prompt import poet

GUIDE = (Path(__file__).parents[3] / "docs" / "prompt-poet.md").read_text("utf-8")


def content(module, text, **data):
    return module.Prompt(data, raw_template=f"- name: a\n  content: |\n    {text}").string


def test_the_guides_example_runs_and_gives_the_same_there():
    (block,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    exec(compile(block, "docs/prompt-poet.md", "exec"), {})
    other = block.replace("from troupe.prompt.poet import Prompt", "")
    exec(compile(other, "docs/prompt-poet.md", "exec"), {"Prompt": published.Prompt})


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__.os.getcwd() }}",
        "{{ f.__code__.co_filename }}",
    ],
)
def test_pythons_own_attributes_cannot_be_reached(text):
    assert content(published, text, f=encode)
    with pytest.raises(jinja2.exceptions.SecurityError):
        content(poet, text, f=encode)


def test_a_loader_of_ones_own_decides_for_itself():
    class Loader(poet.TemplateLoader):
        def load(self):
            return jinja2.Template("- name: a\n  content: {{ ''.__class__.__name__ }}")

        def id(self):
            return "mine"

    prompt = poet.Prompt({}, template_loader=Loader())
    assert (prompt.string, prompt.template_id) == ("str", "mine")


def test_a_range_has_an_end():
    text = "{{ range(100001)|length }}"
    assert content(published, text) == "100001"
    with pytest.raises(OverflowError):
        content(poet, text)


def test_each_encoding_is_used_for_what_it_is_named_for(monkeypatch):
    import tokenizer as theirs

    for name, first in (("one", 0), ("other", 1000)):
        ranks = {bytes([byte]): first + byte for byte in range(256)}
        made = tiktoken.Encoding(
            name, pat_str=r"[\s\S]", mergeable_ranks=ranks, special_tokens={"<|end|>": first + 256}
        )
        monkeypatch.setitem(tiktoken.registry.ENCODINGS, name, made)
    monkeypatch.setattr(theirs, "_DEFAULT_ENCODE_FUNC", None)
    found = {}
    for module in (poet, published):
        for name in ("one", "other"):
            prompt = module.Prompt(
                {}, raw_template="- {name: a, content: b}", tiktoken_encoding_name=name
            )
            prompt.tokenize()
            found[module.__name__, name] = prompt.tokens
    assert found == {
        ("troupe.prompt.poet", "one"): [98],
        ("troupe.prompt.poet", "other"): [1098],
        ("prompt_poet", "one"): [98],
        ("prompt_poet", "other"): [98],
    }
    text = "- {name: a, content: 'b<|end|>'}"
    steps = [lambda prompt: prompt.tokenize()]
    outcome = same(steps, template_data={}, raw_template=text, tiktoken_encoding_name="one")
    assert outcome[1][0] == "ValueError"  # what reads like a special token raises, there as here


def test_any_sequence_of_tokens_will_do():
    prompts = [
        module.Prompt({}, raw_template="- {name: a, content: b}", encode_func=lambda _: (1, 2))
        for module in (poet, published)
    ]
    for prompt in prompts:
        prompt.tokenize()
    assert prompts[0].tokens == [1, 2]
    with pytest.raises(TypeError):
        _ = prompts[1].tokens


@pytest.mark.parametrize("limit", [0, 5, 9])
def test_a_small_limit_leaves_all_messages(limit):
    assert poet.pretruncate_messages([1, 2, 3], limit) == [1, 2, 3]


def test_the_word_sections_is_no_part():
    with pytest.raises(AttributeError):
        published.Prompt({}, raw_template="- sections")
    with pytest.raises(TypeError, match="part 0 is str"):
        poet.Prompt({}, raw_template="- sections")


def test_a_template_of_text_needs_no_path():
    with pytest.raises(TypeError):
        published.Template(raw_template="x")
    assert poet.Template(raw_template="x").render_template({}) == "x"


def test_templates_are_kept_without_a_thread(tmp_path, caplog):
    registry = poet.TemplateRegistry(reset=True, cache_max_size=2, template_refresh_interval_secs=0)
    path = tmp_path / "a.yml.j2"
    path.write_text("old")
    loader = poet.LocalFSTemplateLoader(str(path))
    try:
        assert registry.get_template(loader, use_cache=True).render() == "old"
        path.write_text("newer")
        assert registry.get_template(loader, use_cache=True).render() == "newer"
        path.unlink()
        assert registry.get_template(loader, use_cache=True).render() == "newer"
        assert "cannot load" in caplog.text
        for name in ("b", "c"):
            (tmp_path / name).write_text(name)
            registry.get_template(poet.LocalFSTemplateLoader(str(tmp_path / name)), use_cache=True)
        with pytest.raises(jinja2.TemplateNotFound):  # the one used longest ago was dropped
            registry.get_template(loader, use_cache=True)
        registry.shutdown()
    finally:
        poet.TemplateRegistry(reset=True)


def test_the_examples_data_have_the_helpers_alone():
    options = {"template_path": "cai.yml.j2", "from_examples": True}
    data = {"username": "Ada", "character": {"title": "x"}, "cai_messages": [], "reply_prompt": ""}
    ours, theirs = (
        set(module.Prompt(data, **options).template_data) for module in (poet, published)
    )
    assert theirs - ours == {"dataclass"}
    assert ours <= theirs


def test_importing_it_changes_no_path_and_starts_no_thread():
    code = """
import sys, threading
path = list(sys.path)
from troupe.prompt.poet import Prompt
Prompt({}, raw_template="- {name: a, content: b}")
assert sys.path == path and threading.active_count() == 1
assert not {"tiktoken", "google", "cachetools"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_say_which_part_is_wrong():
    for text, kind, why in (
        ("- {name: a, content: b}\n- {name: c, weight: 1, content: d}", TypeError, "part 1, 'c'"),
        ("- {name: a, content: b, tokens: [1]}", ValueError, "part 'a' gives tokens"),
        ("- {name: a, content: b, sections: [1]}", ValueError, "'a' has both"),
    ):
        with pytest.raises(kind, match=why):
            poet.Prompt({}, raw_template=text)
