"""The tokenizer: any text comes back, none of it becomes a special token."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troupe.train.errors import ConfigError
from troupe.train.tokenizer import (
    BYTES,
    CHAT_TEMPLATE,
    END,
    SPACE,
    SPECIAL,
    TextTokenizer,
    train_tokenizer,
)

ANY = st.text(st.characters(exclude_categories=("Cs",), exclude_characters=SPACE), max_size=80)
SPICED = st.lists(st.one_of(ANY, st.sampled_from([*SPECIAL, *BYTES[:3], "\n", "  ", "\r\n"])))


@given(SPICED.map("".join))
@settings(deadline=None, max_examples=300)
def test_any_text_comes_back_and_is_never_special(tokenizer: TextTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(id_ >= len(SPECIAL) for id_ in ids)


@given(ANY, ANY)
@settings(deadline=None, max_examples=100)
def test_a_line_break_is_a_token_boundary(tokenizer: TextTokenizer, name: str, text: str) -> None:
    whole = tokenizer.encode(f"{name}\n{text}")
    assert whole == [*tokenizer.encode(f"{name}\n"), *tokenizer.encode(text)]


def test_the_layout_is_special_bytes_pieces(tokenizer_folder: Path) -> None:
    data = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    vocab = sorted(data["model"]["vocab"], key=data["model"]["vocab"].__getitem__)
    assert vocab[:8] == list(SPECIAL)
    assert vocab[8:264] == list(BYTES)
    assert len(vocab) == 1024
    assert vocab[END] == "<|end|>"
    assert [token["content"] for token in data["added_tokens"]] == list(SPECIAL)


def test_transformers_reads_it_the_same(tokenizer_folder: Path, tokenizer: TextTokenizer) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tokenizer_folder)
    text = "Mira pours tea.\n*smiles* Zoë, 7 owls? 🦉"
    assert theirs.encode(text, add_special_tokens=False) == tokenizer.encode(text)
    messages = [
        {"role": "system", "content": "You are Mira."},
        {"role": "user", "name": "Sam", "content": "hi"},
        {"role": "assistant", "name": "Mira", "content": "Hello."},
        {"role": "user", "content": "who?"},
    ]
    rendered = theirs.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, assistant_name="Mira"
    )
    assert rendered == (
        "<bos><|system|>You are Mira.<|end|><|user|>Sam\nhi<|end|><|char|>Mira\nHello.<|end|>"
        "<|user|>User\nwho?<|end|><|char|>Mira\n"
    )


def test_the_template_needs_no_names() -> None:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(CHAT_TEMPLATE)
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Yes."}]
    text = template.render(messages=messages, bos_token="<bos>", add_generation_prompt=False)
    assert text == "<bos><|user|>User\nhi<|end|><|char|>Assistant\nYes.<|end|>"


def test_too_little_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="pieces"):
        train_tokenizer(["a b c"], 4096)


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.json does not exist"):
        TextTokenizer.load(tmp_path)
