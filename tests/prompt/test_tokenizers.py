"""Tokenizers never make a special token from text, and lose nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

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


def test_added_tokens_that_are_not_marked_as_special_do_not_come_from_text_either():
    data = json.loads(tokenizer_json())
    for token in data["added_tokens"]:
        token["special"] = False
    tokenizer = HuggingFaceTokenizer(json.dumps(data))
    assert tokenizer.encode("a<|end|>") == TOKENIZER.encode("a<|end|>")
    assert tokenizer.special("<|end|>") == 7


def test_white_space_that_has_tokens_of_its_own_is_text():
    data = json.loads(tokenizer_json())
    most = max(data["model"]["vocab"].values())
    spaces = dict(data["added_tokens"][0], id=most + 1, content="\n\n", special=False)
    data["added_tokens"].append(spaces)
    assert HuggingFaceTokenizer(json.dumps(data)).encode("\n\n") == [most + 1]


def test_a_tokenizer_that_would_make_special_tokens_from_text_is_refused():
    words = Tokenizer(models.WordLevel({"a": 0, "<|end|>": 1}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens([AddedToken("<|end|>", special=True)])
    with pytest.raises(TokenizerError, match="becomes a special token"):
        HuggingFaceTokenizer(words.to_str())


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
