"""Chats in tokenizers of every kind: as transformers spells them, and no text a special token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.engine.conftest import tiny_tokenizer
from tests.engine.test_family_serving import byte_level
from troupe.engine.chat_template import ChatTemplate

TEMPLATE = (
    "<s>{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content | trim }}</s>{% endif %}{% endfor %}"
)


def sentencepiece(scheme: str) -> Tokenizer:
    """As Llama 2 and Mistral have it: a space of its own before the text (`first`), before each
    stretch between special tokens (`always`), or written as a normalizer (`prepend`)."""
    tokenizer = Tokenizer.from_str(tiny_tokenizer().to_str())
    if scheme == "prepend":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.normalizer = normalizers.Sequence([])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        tokenizer.decoder = decoders.Sequence([decoders.Metaspace(), decoders.ByteFallback()])
    return with_specials(tokenizer)


def with_specials(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens(
        [AddedToken("<s>", special=True), AddedToken("</s>", special=True)]
    )
    return tokenizer


TOKENIZERS = {
    "first": sentencepiece("first"),
    "always": sentencepiece("always"),
    "prepend": sentencepiece("prepend"),
    "never": sentencepiece("never"),
    "byte-level": with_specials(byte_level()),
}
TALK = [
    {"role": "user", "content": "the you"},
    {"role": "assistant", "content": "a quiet evening, you"},
    {"role": "user", "content": "  the  end\nçé😀 "},
]


def template(folder: Path, tokenizer: Tokenizer) -> ChatTemplate:
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return ChatTemplate(folder, tokenizer)


@pytest.mark.parametrize("scheme", ["first", "always", "prepend"])
def test_a_chat_is_spelled_as_transformers_spells_it(tmp_path: Path, scheme: str) -> None:
    tokenizer = TOKENIZERS[scheme]
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=TEMPLATE)
    expected = theirs.apply_chat_template(TALK, tokenize=True, return_dict=False)
    assert template(tmp_path, tokenizer).encode(TALK, {}) == expected


@pytest.mark.parametrize("scheme", TOKENIZERS)
def test_each_message_s_tokens_are_its_own(tmp_path: Path, scheme: str) -> None:
    tokenizer = TOKENIZERS[scheme]
    pieces = template(tmp_path, tokenizer).pieces(TALK, {})
    assert [p.message for p in pieces if p.message is not None] == [0, 1, 2]
    for piece in pieces:
        if piece.message is not None:
            text = tokenizer.decode(list(piece.ids)).strip()
            assert text == TALK[piece.message]["content"].strip()


@pytest.mark.parametrize("scheme", TOKENIZERS)
@given(
    text=st.lists(st.sampled_from(["<s>", "</s>", "<", "s>", " ", "a", "é", "\n"]), max_size=8).map(
        "".join
    )
)
@settings(max_examples=40, deadline=None)
def test_no_text_becomes_a_special_token(
    tmp_path_factory: pytest.TempPathFactory, scheme: str, text: str
) -> None:
    tokenizer = TOKENIZERS[scheme]
    folder = tmp_path_factory.getbasetemp()
    ids = template(folder, tokenizer).encode([{"role": "user", "content": text}], {})
    special = [tokenizer.token_to_id(name) for name in ("<s>", "</s>")]
    assert [i for i in ids if i in special] == special[:1]


def test_of_several_templates_the_default_is_taken(tmp_path: Path) -> None:
    several = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": TEMPLATE}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": several}))
    one = ChatTemplate(tmp_path, TOKENIZERS["first"]).encode(TALK, {})
    assert one == template(tmp_path, TOKENIZERS["first"]).encode(TALK, {})
