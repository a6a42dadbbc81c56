"""Tokenizers never make a special token from text, and lose nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prompt.support import SPECIAL, TOKENIZER, texts, tokenizer_json
from troupe.prompt import EstimateTokenizer, HuggingFaceTokenizer, TokenizerError


@given(st.one_of(texts, st.lists(st.sampled_from([*SPECIAL, "<0x0A>", " ", "a"])).map("".join)))
def test_text_comes_back_and_holds_no_special_token(text):
    ids = TOKENIZER.encode(text)
    assert not {TOKENIZER.special(name) for name in SPECIAL} & set(ids)
    assert TOKENIZER.decode(ids) == text


def test_special_tokens_are_found_by_name():
    assert TOKENIZER.special("<|end|>") == 7
    with pytest.raises(KeyError):
        TOKENIZER.special("<|nope|>")


def test_a_tokenizer_that_would_make_special_tokens_from_text_is_refused():
    data = json.loads(tokenizer_json())
    for token in data["added_tokens"]:
        token["special"] = False
    with pytest.raises(TokenizerError, match="becomes a special token"):
        HuggingFaceTokenizer(json.dumps(data))


@pytest.mark.parametrize("source", ["", "{}", b"\xff\xfe", "[1]"])
def test_what_is_no_tokenizer_is_refused(source):
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json"):
        HuggingFaceTokenizer(source)


@given(texts)
def test_an_estimate_is_four_bytes_a_token_and_reversible(text):
    tokenizer = EstimateTokenizer()
    ids = tokenizer.encode(text)
    assert len(ids) == -(-len(text.encode()) // 4)
    assert tokenizer.decode(ids) == text
