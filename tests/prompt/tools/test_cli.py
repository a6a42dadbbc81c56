"""`troupe prompt`, from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.prompt.formats.families import CONFIG, FOLDER, SOURCE
from tests.prompt.support import DATA, tokenizer_json
from troupe.prompt.cli import prompt

CHAT = [
    {"role": "char", "name": "Mira Vale", "text": "Ahoy!"},
    {"role": "user", "name": "Ada", "text": "Hi <b>there</b>"},
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(DATA | {"history": CHAT}), encoding="utf-8")
    return path


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(prompt, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def model(folder: Path, tokenizer: str = SOURCE, family: str = "chatml") -> Path:
    folder.mkdir()
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    source = (FOLDER / f"{family}.jinja").read_text("utf-8")
    config = CONFIG | {"chat_template": source}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_render_shows_parts_for_people(data):
    lines = run("render", "character", "--data", data).output.splitlines()
    assert lines[0] == "[card, system]"
    assert lines[-5:] == [
        "[message, user, priority 1]", "Ada:", "Hi <b>there</b>", "[answer, char]", "Mira Vale:",
    ]  # fmt: skip


def test_render_in_each_format(data, tmp_path):
    text = run("render", "character", "--data", data, "--format", "text").output
    assert text.endswith("\nMira Vale: Ahoy!\nAda: Hi <b>there</b>\nMira Vale:\n")
    messages = json.loads(run("render", "character", "--data", data, "--format", "messages").output)
    assert [m["role"] for m in messages] == ["system", "assistant", "user"]
    folder = model(tmp_path / "m")
    chat = run("render", "character", "--data", data, "--format", "chat", "--model", folder).output
    assert chat.endswith("<|im_start|>user\nHi <b>there</b><|im_end|>\n<|im_start|>assistant\n\n")
    run("render", "character", "--data", data, "--format", "chat", code=2)


def test_tokens_add_up_in_each_format(data, tmp_path):
    folders = [model(tmp_path / "a"), model(tmp_path / "b", tokenizer_json())]
    for folder in folders:
        for form in ("parts", "text", "messages", "chat"):
            output = run("tokens", "character", "--data", data, "--model", folder, "--format", form)
            rows = re.findall(r"^ *(-?[\d,]+) +-?[\d.]+%  (.+)$", output.output, re.MULTILINE)
            counts = {name: int(count.replace(",", "")) for count, name in rows}
            total = counts.pop("in all")
            assert {"card", "message", "answer", "around them"} <= counts.keys()
            assert sum(counts.values()) == total
            assert f"the tokenizer of {folder.name}" in output.output


def test_tokens_say_what_is_cut(tmp_path):
    chat = [{"role": "user", "name": "Ada", "text": f"word {n} " * 20} for n in range(40)]
    path = tmp_path / "data.json"
    path.write_text(json.dumps(DATA | {"history": chat}))
    assert "parts are cut" in run("tokens", "character", "--data", path, "--limit", 900).output
    assert "nothing is cut" in run("tokens", "character", "--data", path, "--limit", 9000).output
    failed = run("tokens", "character", "--data", path, "--limit", 90, code=1).output
    assert "tokens over its limit of 90" in failed


def test_lint_ends_with_1_on_findings(data, tmp_path):
    assert run("lint", "character", "--data", data).output == "nothing found\n"
    bad = tmp_path / "bad.yaml"
    bad.write_text("- name: a\n  content: '{{ nobody }}'\n")
    output = run("lint", bad, "--data", data, code=1).output
    assert "bad.yaml:2: missing-data: the data have no 'nobody'" in output
    (found,) = json.loads(run("lint", bad, "--data", data, "--json", code=1).output)
    assert found["rule"] == "missing-data"
    assert found["line"] == 2


def test_diff_shows_where_prompts_part(data, tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("- name: card\n  role: system\n  content: You are {{ character.name }}, kind.\n")
    two.write_text("- name: card\n  role: system\n  content: You are {{ character.name }}, rude.\n")
    output = run("diff", one, two, "--data", data).output
    assert "-You are Mira Vale, kind.\n+You are Mira Vale, rude.\n" in output
    assert "then, in part 'card':\n- ' kind.'\n+ ' rude.'" in output
    assert "the first " in output
    same = run("diff", one, one, "--data", data).output
    assert re.fullmatch(r"the same \d+ tokens\n", same)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_preview_is_one_page_that_runs_and_fetches_nothing(tmp_path):
    chat = [
        {"role": "user", "name": "Ada", "text": f"<script>{n}</script> " * 20} for n in range(40)
    ]
    path, out = tmp_path / "data.json", tmp_path / "page.html"
    path.write_text(json.dumps(DATA | {"history": chat}))
    run("preview", "character", "--data", path, "--limit", 1800, "--out", out)
    text = out.read_text("utf-8")
    tags = Tags(text).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "link", "iframe", "object"})
    assert not re.search(r"https?:|url\(|@import", text)
    sections = [attrs["class"] for tag, attrs in tags if tag == "section"]
    assert len(sections) == 42
    gone = [one for one in sections if one.endswith(" gone")]
    assert 0 < len(gone) < 40
    assert sections[0] == "before"
    assert sections[-1] == "answer"
    assert f"The cut: {len(gone)} of the history left out" in text


def test_data_may_be_yaml_and_carry_images(tmp_path):
    template, path = tmp_path / "t.yaml", tmp_path / "data.yaml"
    template.write_text(
        "{% for m in history %}\n- name: m\n  content: '{{ m.text }}'\n{% endfor %}"
    )
    path.write_text(
        "day: 2026-11-21\nhistory:\n- role: user\n  text: Look\n"
        "  attachments: [{kind: image, url: 'data:,'}]\n"
    )
    (message,) = json.loads(run("render", template, "--data", path, "--format", "messages").output)
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "object"),
        ("a: [", "neither JSON nor YAML"),
        ("history: 1", "list of messages"),
        ("history: [{text: a}]", "history[0]"),
        ("history: [{role: system, text: a}]", "user or char"),
        ("history: [{role: user, text: a, attachments: [{kind: x}]}]", "kind"),
        ("history: [{role: user, text: a, attachments: [{kind: image}]}]", "url"),
        ("history: [{role: user, text: a, attachments: 3}]", "attachments are a list"),
    ],
)
def test_wrong_data_are_one_clear_line(tmp_path, text, said):
    path = tmp_path / "data.yaml"
    path.write_text(text)
    output = run("render", "character", "--data", path, code=1).output
    assert said in output
    assert "Traceback" not in output


def test_an_unknown_template_is_one_clear_line(data):
    assert (
        "by name there are character, group"
        in run("render", "nobody", "--data", data, code=1).output
    )


def test_it_is_part_of_troupe(data):
    command = [sys.executable, "-m", "troupe.cli", "prompt", "lint", "nobody", "--data", str(data)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "there is no such file" in done.stderr
