"""Piece by piece, ids are those of the tokenizer itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

import troupe
from tests.prompt.support import HOSTILE, tokenizer_json
from troupe.prompt import HuggingFaceTokenizer
from troupe.prompt.words import GPT2, split_of, words_of

SHIPPED = Path(troupe.__file__).parent / "models" / "troupe-small" / "tokenizer.json"
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++|\s++"
CORPUS = [*HOSTILE, "the then there and another, it's I'LL\n\n  x\r\n 12345 !!\n//a/b ...  \t" * 3]


def trained(*split: Any, normalizer: Any = None) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not split)]
    )
    tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    text: str = tokenizer.to_str()
    return text


def isolated(pattern: str) -> Any:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


MADE: dict[str, Any] = {
    "shipped": HuggingFaceTokenizer(SHIPPED.read_bytes()),
    "byte level": HuggingFaceTokenizer(trained()),
    "cl100k": HuggingFaceTokenizer(trained(isolated(CL100K), normalizer=normalizers.NFC())),
    "o200k": HuggingFaceTokenizer(trained(isolated(O200K))),
    "gpt2 as a split": HuggingFaceTokenizer(trained(isolated(GPT2))),
    "possessive": HuggingFaceTokenizer(trained(isolated(POSSESSIVE))),
}
asciis = st.lists(
    st.one_of(
        st.text(st.characters(max_codepoint=127)),
        st.text("ab \n\r\t.!/'sSlLtT12_\x1c", max_size=15),
        st.sampled_from(["the", "'ll", "I'LL", "  ", "\n\n", "/\n", "x" * 70, "12345"]),
    )
).map("".join)


@pytest.mark.parametrize("name", MADE)
def test_pieces_are_used(name):
    assert MADE[name]._words is not None


@pytest.mark.parametrize("name", MADE)
@given(text=asciis)
def test_ids_are_those_of_the_whole(name, text):
    tokenizer = MADE[name]
    assert tokenizer.encode(text) == tokenizer.encode(text) == tokenizer._whole(text)[0]


def test_white_space_with_a_token_of_its_own_is_left_to_the_tokenizer():
    settings = json.loads(trained())
    settings["added_tokens"] = [
        {"id": 400, "content": "\n\n", "special": False, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
    ]  # fmt: skip
    tokenizer = HuggingFaceTokenizer(json.dumps(settings))
    assert tokenizer.encode("a\n\nb")[1] == 400


def test_only_what_is_understood_is_used():
    assert split_of(json.loads(tokenizer_json())) == (None, "▁")
    for change in (
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "_"}},
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"pre_tokenizer": {"type": "Digits"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"model": {"type": "WordPiece"}},
        {"model": {"type": "BPE", "dropout": 0.1}},
        {"model": {"type": "BPE", "end_of_word_suffix": "</w>"}},
    ):
        assert split_of(json.loads(trained()) | change)[0] is None
    whole = MADE["byte level"]._whole
    for pattern in (
        None,
        r"\p{Greek}+",
        r"[a-z&&[^b]]+",
        r"(a)|b",
        r"\R+",
        r"[\p{M}]",
        r"\S+|\s+",
        r" ?\p{L}+|\p{N}{1,3}+|\s+|[^\s\p{L}\p{N}]+",
    ):
        assert words_of(pattern, whole) is None
