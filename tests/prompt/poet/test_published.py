"""Side by side beyond templates: loaders, registry, examples, helpers, what is exported."""

from __future__ import annotations

import inspect
import itertools
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prompt.poet.support import encode, kinds, published, run, same
from troupe.prompt import poet

BOTH = [poet, published]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package `talks` with templates, which is on the path."""
    package = tmp_path / "talks_of_poets"
    (package / "sections").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "chat.yml.j2").write_text(
        "{% from 'macros.yml.j2' import line %}\n{% include 'sections/card.yml.j2' %}\n"
        "- name: line\n  content: {{ line(who) }}\n"
    )
    (package / "macros.yml.j2").write_text("{% macro line(who) %}I am {{ who }}.{% endmacro %}")
    (package / "sections" / "card.yml.j2").write_text("- name: card\n  content: {{ who }}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(package)
    return package


def test_a_path_gives_the_same(folder):
    for path in ("chat.yml.j2", f"{folder}/chat.yml.j2", "sections/card.yml.j2", "no.yml.j2"):
        same(template_data={"who": "Ada"}, template_path=path)
        same(template_data={"who": "Ada"}, template_path=path, from_cache=True)


def test_a_package_gives_the_same(folder):
    for package, path in itertools.product(
        ("talks_of_poets", "no_such_package"),
        ("chat.yml.j2", "sections/card.yml.j2", "no/chat.yml.j2", "no.yml.j2"),
    ):
        same(template_data={"who": "Ada"}, template_path=path, package_name=package)


def test_loaders_give_the_same(folder):
    found = []
    for module in BOTH:
        loaders = (
            _loaders(module).LocalFSTemplateLoader(f"{folder}/chat.yml.j2"),
            _loaders(module).LocalPackageTemplateLoader("talks_of_poets", "chat.yml.j2"),
        )
        found.append(
            [run(module.Prompt, (), template_data={}, template_loader=one) for one in loaders]
        )
    assert found[0] == found[1]


class Blob:
    def __init__(self, name: str, text: str) -> None:
        self.name, self.text, self.generation, self.reads = name, text, 1, 0

    def download_as_text(self) -> str:
        self.reads += 1
        return self.text


class Lost(Blob):
    def download_as_text(self) -> str:
        raise OSError(self.name)


class Cloud:
    """A bucket in memory, in the place of Google's client."""

    def __init__(self) -> None:
        self.blobs = {
            name: Blob(name, text)
            for name, text in {
                "t/": "",
                "t/chat.yml.j2": "{% include 's/card.yml.j2' %}",
                "t/s/card.yml.j2": "- name: card\n  content: {{ who }}",
                "t/notes.txt": "no",
                "t/status": "",
            }.items()
        }

    def bucket(self, name: str) -> Cloud:
        return self

    def blob(self, name: str) -> Blob:
        return self.blobs.get(name) or Lost(name, "")

    def list_blobs(self, prefix: str) -> list[Blob]:
        return [blob for name, blob in self.blobs.items() if name.startswith(prefix)]


@pytest.mark.parametrize("status", [None, "t/status", "t/no"])
def test_a_bucket_gives_the_same_and_fetches_as_often(status):
    found: list[Any] = []
    for module in BOTH:
        cloud = Cloud()
        loader = _loaders(module).GCSDictTemplateLoader("b", "t/chat.yml.j2", cloud, status)
        seen: list[Any] = [loader.id()]
        for change in ("", "t/s/card.yml.j2", "t/status", ""):
            if change:
                cloud.blobs[change].text = "- name: card\n  content: new"
                cloud.blobs[change].generation += 1
            seen.append(run(module.Prompt, (), template_data={"who": "A"}, template_loader=loader))
            seen.append({name: blob.reads for name, blob in cloud.blobs.items()})
        missing = _loaders(module).GCSDictTemplateLoader("b", "t/no.yml.j2", cloud)
        seen.append(run(module.Prompt, (), template_data={}, template_loader=missing))
        cloud.blobs["t/chat.yml.j2"].text = "{% if %}"
        cloud.blobs["t/chat.yml.j2"].generation += 1
        loader = _loaders(module).GCSDictTemplateLoader("b", "t/chat.yml.j2", cloud)
        seen.append(run(module.Prompt, (), template_data={}, template_loader=loader))
        found.append(seen)
    assert found[0] == found[1]


def test_what_is_kept_stays_for_a_while(folder):
    found = []
    for module in BOTH:
        (folder / "kept.yml.j2").write_text("- name: a\n  content: old")
        arguments = {"template_data": {}, "template_path": "kept.yml.j2"}
        seen = [run(module.Prompt, (), **arguments, from_cache=True)]
        (folder / "kept.yml.j2").write_text("- name: a\n  content: new and longer")
        seen += [run(module.Prompt, (), **arguments, from_cache=kept) for kept in (True, False)]
        found.append(seen)
        assert module.TemplateRegistry() is module.TemplateRegistry()
    assert found[0] == found[1]


names = st.one_of(st.none(), st.text(alphabet=" -aB:\n", max_size=6))
lines = st.text(alphabet="ab: \n'\t\u200d\\n", max_size=12)


@settings(max_examples=30)
@given(
    character=st.fixed_dictionaries(
        {"participant__name": names},
        optional={"title": lines, "description": lines, "definition": lines},
    ),
    messages=st.lists(st.tuples(names, lines, st.booleans()), max_size=8),
    username=names,
    persona=lines,
    limit=st.sampled_from([-1, 10, 20, 35]),
)
def test_the_example_gives_the_same(character, messages, username, persona, limit):
    found = []
    for module in BOTH:
        data = {
            "timestamp": "2026-11-21 09:00",
            "username": username,
            "character": character,
            "persona_definition": persona,
            "cai_messages": [module.CAIMessage(a, t, is_pinned=p) for a, t, p in messages],
            "reply_prompt": "Mira:",
        }
        arguments = {"template_path": "cai.yml.j2", "from_examples": True, "token_limit": limit}
        outcome = run(module.Prompt, (), template_data=data, encode_func=encode, **arguments)
        if not isinstance(outcome[0], str):
            outcome[0]["template_dir"] = outcome[0]["template_id"] = ""  # each has its own
        found.append(outcome)
    assert found[0] == found[1]


@given(name=names, text=lines, limit=st.integers(10, 60), count=st.integers(0, 40))
def test_the_helpers_give_the_same(name, text, limit, count):
    found = []
    for module in BOTH:
        found.append(
            [
                module.canonicalize_name(name),
                module.canonicalize_user_name(name),
                module.maybe_inject_narrator(text),
                module.maybe_inject_narrator(text, "Ada"),
                module.escape_sequences(text),
                module.pretruncate_messages(list(range(count)), limit),
                module.pretruncate_messages(list(range(count)), -1),
                [
                    (message.author, message.text, message.type, message.is_pinned)
                    for message in module.get_character_definition_messages(
                        {"participant__name": name, "title": text, "definition": text}, "user"
                    )
                ],
            ]
        )
        with pytest.raises(ValueError, match="'x'"):
            module.raise_missing_context_data("x")
    assert found[0] == found[1]


@given(st.text(alphabet=st.characters(), max_size=20))
def test_any_text_is_escaped_the_same(text):
    found = []
    for module in BOTH:
        prompt = module.Prompt({}, raw_template="[]")
        found.append(prompt.template_data["escape_special_characters"](text))
    assert found[0] == found[1]


def test_constructors_take_the_same_arguments():
    for name in ("Prompt", "Template", "TemplateRegistry"):
        ours, theirs = (inspect.signature(getattr(module, name).__init__) for module in BOTH)
        assert [(p.name, p.default, p.kind) for p in ours.parameters.values()] == [
            (p.name, p.default, p.kind) for p in theirs.parameters.values()
        ], name
    for name in ("PromptPart", "PromptSection", "TruncationBlock", "CAIMessage"):
        ours, theirs = ([(f.name, f.default) for f in fields(getattr(m, name))] for m in BOTH)
        assert ours == theirs, name


@pytest.mark.parametrize("name", ["Prompt", "Template", "TemplateRegistry"])
def test_whatever_is_public_there_is_here_with_the_same_arguments(name):
    theirs, ours = getattr(published, name), getattr(poet, name)
    for member in [member for member in vars(theirs) if not member.startswith("_")]:
        if callable(getattr(theirs, member)):
            signatures = [inspect.signature(getattr(one, member)) for one in (ours, theirs)]
            assert list(signatures[0].parameters) == list(signatures[1].parameters), member
        else:
            assert isinstance(getattr(ours, member), property), member


def test_what_the_package_exports_of_its_own_is_here():
    own = {
        name
        for name, value in vars(published).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", "prompt_poet").split(".")[0]
        in ("prompt_poet", "template", "template_loaders", "template_registry", "tokenizer",
            "pp_exceptions", "examples", "prompt")
        and name not in ("package_path",)
    }  # fmt: skip
    assert own <= set(poet.__all__)
    assert {"Prompt", "TemplateLoader", "TruncationError", "SPACE_MARKER"} <= own


def test_a_template_object_gives_the_same():
    found = []
    for module in BOTH:
        template = module.Template(template_path="", raw_template="- name: {{ x }}")
        seen = [template.rendered_template, template.render_template({"x": "y"})]
        seen += [template.rendered_template, template.template_package_name, template.template_id]
        for name in ("template_name", "template_dir"):
            with pytest.raises(AttributeError):
                getattr(template, name)
        try:
            module.Template(template_path="x", raw_template="y")
        except ValueError as error:
            seen.append(kinds(error))
        found.append(seen)
    assert found[0] == found[1]


def test_paths_are_deprecated_in_both():
    for module in BOTH:
        with pytest.warns(DeprecationWarning, match="template_loader"):
            module.Template(template_path="cai.yml.j2", from_examples=True)


def _loaders(module: Any) -> Any:
    """The package exports not all of its loaders."""
    if module is poet:
        return poet
    import template_loaders

    return template_loaders
