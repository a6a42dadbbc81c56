"""A conversation's tokens after any edits, and the boundary where its history begins."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.prompt.support import DATA, MIRA, TOKENIZER, said
from troupe.prompt import (
    ChatFormat,
    ChatMessage,
    Conversation,
    EstimateTokenizer,
    PromptTooLong,
    Template,
    Truncation,
    compile_prompt,
    platform_template,
)

CHARACTER = platform_template("character")


def fresh(messages: list[ChatMessage]) -> Conversation:
    conversation = Conversation(CHARACTER, TOKENIZER, ChatFormat.TOKENS)
    for message in messages:
        conversation.append(message)
    return conversation


class Counting:
    """Counts how often each text is tokenized."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.asked.append(text)
        return TOKENIZER.encode(text)

    def decode(self, ids):
        return TOKENIZER.decode(ids)

    def special(self, name: str) -> int:
        return TOKENIZER.special(name)


def test_no_text_is_tokenized_twice():
    tokenizer = Counting()
    conversation = Conversation(CHARACTER, tokenizer, ChatFormat.TOKENS)
    anchor = None
    for turn in range(30):
        conversation.append(said(turn, f"line {turn} " * 8))
        if turn == 20:
            conversation.remove("10")
        anchor = conversation.compile(DATA, 600, anchor).anchor
    assert anchor is not None
    assert len(tokenizer.asked) == len(set(tokenizer.asked))


def test_a_prompt_is_laid_out_as_the_model_was_trained():
    history = [said(1, "*waves* Tea?", "char", "Mira Vale"), said(2, "Yes, please.")]
    prompt = compile_prompt(
        CHARACTER, DATA | {"partial": "*pours"}, history, TOKENIZER, ChatFormat.TOKENS, 1000
    )
    card = (
        "You are Mira Vale. Keeps a lighthouse\nA keeper on Mira Vale's point.\n"
        "Mira Vale keeps the light.\nAge: 41\nExamples:\nAda: Tea?\nMira Vale: *nods*\n"
        "You are talking with Ada. A sailor."
    )
    t, encode = TOKENIZER.special, TOKENIZER.encode
    end = t("<|end|>")
    assert prompt.token_ids == [
        t("<bos>"), t("<|system|>"), *encode(card), end,
        t("<|char|>"), *encode("Mira Vale\n"), *encode("*waves* Tea?"), end,
        t("<|user|>"), *encode("Ada\n"), *encode("Yes, please."), end,
        t("<|char|>"), *encode("Mira Vale\n"), *encode("*pours"),
    ]  # fmt: skip
    assert prompt.tokens == len(prompt.token_ids)
    assert sum(prompt.counts.values()) == prompt.tokens - 1  # all but <bos>
    assert list(prompt.counts) == ["card", "message", "answer"]
    assert (prompt.messages, prompt.stop, prompt.anchor, prompt.cut_messages) == (None, (), None, 0)


def test_the_cut_moves_rarely_and_only_forwards():
    conversation = fresh([])
    anchor, cuts, kept = None, [], []
    for turn in range(120):
        conversation.append(said(turn, f"this is line number {turn} of many"))
        prompt = conversation.compile(DATA, 900, anchor)
        anchor = prompt.anchor
        cuts.append(prompt.cut_messages)
        kept.append(prompt.tokens)
        assert prompt.tokens <= 900
        assert prompt.parts[0].name == "card"
        assert prompt.parts[-2].text == f"this is line number {turn} of many"
    assert cuts == sorted(cuts)
    moves = sum(1 for a, b in pairwise(cuts) if a != b)
    assert 2 < moves < 30
    assert anchor == str(cuts[-1])


def test_between_cuts_each_prompt_begins_with_the_last_one():
    conversation = fresh([])
    before = None
    for turn in range(60):
        conversation.append(said(turn, f"this is line number {turn} of many"))
        prompt = conversation.compile(DATA, 900, before.anchor if before else None)
        if before is not None and prompt.anchor == before.anchor:
            full = len(before.block_hashes) - 1  # the open answer stands in the last blocks
            assert prompt.block_hashes[: full - 1] == before.block_hashes[: full - 1]
        before = prompt


def test_an_anchor_that_is_gone_counts_as_none():
    history = [said(n, "hi") for n in range(6)]
    prompt = compile_prompt(CHARACTER, DATA, history, TOKENIZER, ChatFormat.TOKENS, 2000, "no such")
    assert (prompt.anchor, prompt.cut_messages) == (None, 0)


def test_a_boundary_stays_when_the_model_has_more_room():
    history = [said(n, "hi") for n in range(20)]
    prompt = compile_prompt(CHARACTER, DATA, history, TOKENIZER, ChatFormat.TOKENS, 5000, "7")
    assert (prompt.anchor, prompt.cut_messages) == ("7", 7)


def test_a_definition_that_does_not_fit_is_named_with_its_excess():
    long = DATA | {"character": MIRA | {"definition": "x" * 3000}}
    history = [said(n, "hi") for n in range(10)]
    with pytest.raises(PromptTooLong) as caught:
        compile_prompt(CHARACTER, long, history, TOKENIZER, ChatFormat.TOKENS, 1000)
    error = caught.value
    assert error.part == "card"
    assert error.part_tokens > 3000
    prompt = compile_prompt(
        CHARACTER, long, history, TOKENIZER, ChatFormat.TOKENS, 1000 + error.over
    )
    assert prompt.tokens == 1000 + error.over
    assert prompt.cut_messages == 6  # the newest four stay


def test_newest_messages_that_do_not_fit_are_named():
    history = [said(1, "y" * 5000)]
    with pytest.raises(PromptTooLong, match="'message'"):
        compile_prompt(CHARACTER, DATA, history, TOKENIZER, ChatFormat.TOKENS, 1000)


def test_pinned_messages_stay_before_the_boundary():
    template = Template.parse(
        "- name: card\n  role: system\n  content: c\n"
        "{% for m in history %}\n- name: m\n"
        "  truncation_priority: {% if 'PIN' in m.text %}0{% else %}1{% endif %}\n"
        "  content: '{{ m.text }}'\n{% endfor %}"
    )
    history = [said(0, "PIN this"), *(said(n, "word " * 20) for n in range(1, 30))]
    prompt = compile_prompt(template, {}, history, TOKENIZER, ChatFormat.TOKENS, 800)
    assert [p.content for p in prompt.parts[:2]] == ["c", "PIN this"]
    assert prompt.cut_messages > 10


def test_parts_that_may_go_make_room_before_the_prompt_is_refused():
    template = Template.parse(
        "- name: card\n  role: system\n  content: c\n"
        "- name: low\n  truncation_priority: 1\n  content: {{ 'a' }}{{ long }}\n"
        "- name: high\n  truncation_priority: 9\n  content: {{ 'b' }}{{ long }}\n"
        "{% for m in history %}\n- name: m\n  truncation_priority: 1\n  content: '{{ m.text }}'\n"
        "{% endfor %}"
    )
    history = [said(n, "hi") for n in range(3)]
    names = [
        [part.name for part in compile_prompt(
            template, {"long": "z" * 300}, history, TOKENIZER, ChatFormat.TOKENS, limit
        ).parts]
        for limit in (700, 400, 100)
    ]  # fmt: skip
    assert names == [
        ["card", "low", "high", "m", "m", "m"],
        ["card", "low", "m", "m", "m"],
        ["card", "m", "m", "m"],
    ]


def test_an_id_stands_for_one_message():
    conversation = fresh([said(1, "a"), said(2, "b")])
    with pytest.raises(ValueError, match="already"):
        conversation.append(said(1, "c"))
    with pytest.raises(ValueError, match="already"):
        conversation.edit("1", said(2, "c"))
    with pytest.raises(KeyError):
        conversation.remove("3")
    assert [m.text for m in conversation.messages] == ["a", "b"]


def test_messages_of_a_remote_model_are_cut_by_estimate():
    conversation = Conversation(
        CHARACTER, EstimateTokenizer(), ChatFormat.MESSAGES, truncation=Truncation(newest=2)
    )
    conversation.update([said(n, "word " * 40) for n in range(50)])
    prompt = conversation.compile(DATA, 500)
    assert prompt.token_ids is None
    assert prompt.messages is not None
    assert prompt.messages[0]["role"] == "system"
    assert 300 < prompt.tokens <= 500
    assert prompt.anchor == str(prompt.cut_messages)
