"""Exact mode tokenizes what is new, and only where that is known to be right."""

from __future__ import annotations

import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tests.prompt.support import TOKENIZER, said, texts
from troupe.prompt import (
    CallableTokenizer,
    ChatFormat,
    Conversation,
    EstimateTokenizer,
    HuggingFaceTokenizer,
    Layout,
    Template,
    TiktokenTokenizer,
)
from troupe.prompt.exact import Joined, has_seams

PLAIN = Template.parse(
    """
{% for m in history %}
- name: m
  truncation_priority: 1
  content: "{{ m.name }}: {{ m.text }}{{ '\\n' }}"
{% endfor %}
- name: answer
  content: 'B:'
""",
    "plain",
)
GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)


def byte_level(*merged: bytes) -> TiktokenTokenizer:
    ranks = {bytes([byte]): byte for byte in range(256)}
    ranks |= {piece: 256 + n for n, piece in enumerate(merged)}
    encoding = tiktoken.Encoding(
        "small", pat_str=GPT4, mergeable_ranks=ranks, special_tokens={"<eos>": 300}
    )
    return TiktokenTokenizer(encoding)


SMALL = byte_level(b"th", b"the", b" a", b"!\n", b"\n\n", b"  ", b".\n")


def hugging(**parts: object) -> HuggingFaceTokenizer:
    words = ["<unk>", "a", "b", "s", "\n", "\nb", "ab", " ", "▁", "▁a", "."]
    merges = [("a", "b"), ("▁", "a"), ("\n", "b")]
    tokenizer = Tokenizer(
        models.BPE(vocab={w: n for n, w in enumerate(words)}, merges=merges, unk_token="<unk>")
    )
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return HuggingFaceTokenizer(tokenizer.to_str())


def test_seams_are_found_where_they_hold():
    assert has_seams(TOKENIZER)
    assert has_seams(SMALL)
    assert has_seams(CallableTokenizer(lambda text: list(text.encode()), seams=True))
    # A token of the vocabulary may span a line break and what follows.
    assert not has_seams(hugging())
    # Each piece would begin with a space of its own.
    split = pre_tokenizers.Metaspace(prepend_scheme="always")
    assert not has_seams(hugging(pre_tokenizer=split, normalizer=normalizers.Lowercase()))
    assert not has_seams(EstimateTokenizer())
    assert not has_seams(CallableTokenizer(lambda text: list(text.encode())))


lines = st.lists(
    st.one_of(texts, st.text("ab \n.!the12é字", max_size=12), st.sampled_from(["\n", "!\n", " \n"]))
).map("".join)


@given(lines)
def test_pieces_between_seams_are_the_tokens_of_the_whole(text):
    for tokenizer in (TOKENIZER, SMALL, EstimateTokenizer()):
        assert Joined(tokenizer).encode(text) == tokenizer.encode(text)


@given(st.lists(lines, max_size=6))
def test_a_conversation_in_exact_mode_is_one_text(said_lines):
    conversation = Conversation(PLAIN, SMALL, ChatFormat.TOKENS, Layout.text("<eos>"))
    for number, line in enumerate(said_lines):
        conversation.append(said(number, line))
        whole = "".join(f"Ada: {text}\n" for text in said_lines[: number + 1])
        assert conversation.token_ids == SMALL.encode(whole)
        prompt = conversation.compile({}, 10**6)
        assert prompt.token_ids == [300, *SMALL.encode(whole + "B:")]


def test_a_turn_tokenizes_what_is_new():
    asked: list[str] = []

    def encode(text: str) -> list[int]:
        asked.append(text)
        return list(text.encode())

    conversation = Conversation(
        PLAIN, CallableTokenizer(encode, seams=True), ChatFormat.TOKENS, Layout.text()
    )
    for number in range(50):
        conversation.append(said(number, f"This is line {number}."))
        conversation.compile({}, 10**6)
    asked.clear()
    conversation.append(said(50, "The last."))
    conversation.compile({}, 10**6)
    assert sum(map(len, asked)) < 80
