"""What moves the boundary and what does not; data that waits; callers that pass the newest."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.prompt.support import TOKENIZER, said
from troupe.prompt import (
    CallableTokenizer,
    ChatFormat,
    Conversation,
    Layout,
    Template,
    Truncation,
)
from troupe.prompt.hashes import common_prefix
from troupe.prompt.segments import Known

TEMPLATE = Template.parse(
    """
- name: card
  role: system
  content: A card.
- name: memory
  role: system
  content: "Remember {{ memory }}"
- name: examples
  role: system
  truncation_priority: 5
  content: "{{ examples }}"
{% for m in history %}
- name: message
  role: "{{ m.role }}"
  truncation_priority: 1
  content: "{{ m.text }}"
{% endfor %}
- name: retrieved
  role: system
  truncation_priority: 2
  content: "{{ retrieved }}"
- name: answer
  role: char
  content: ""
"""
)
LIMIT = 900
LINES = [said(n, f"this is line number {n} of many, no longer than others") for n in range(90)]


def chat(rule: Truncation) -> Conversation:
    return Conversation(TEMPLATE, TOKENIZER, ChatFormat.TOKENS, truncation=rule)


def data(memory: str = "tea", retrieved: str = "", examples: str = "") -> dict[str, Any]:
    return {"memory": memory, "retrieved": retrieved, "examples": examples}


def names(prompt: Any) -> list[str]:
    return [part.name for part in prompt.parts]


def test_with_a_reserve_nothing_else_moves_the_boundary():
    rule = Truncation(reserve=250)
    quiet, loud = chat(rule), chat(rule)
    anchor_quiet = anchor_loud = None
    anchors = []
    for turn, line in enumerate(LINES):
        quiet.append(line)
        loud.append(line)
        anchor_quiet = quiet.compile(data(), LIMIT, anchor_quiet).anchor
        prompt = loud.compile(data(retrieved="word " * (turn * 7 % 40)), LIMIT, anchor_loud)
        assert prompt.tokens <= LIMIT
        anchor_loud = prompt.anchor
        assert anchor_loud == anchor_quiet
        anchors.append(anchor_loud)
    assert 2 < len(set(anchors)) < 30


def test_what_has_a_higher_priority_goes_before_any_message():
    conversation = chat(Truncation(reserve=250))
    conversation.update(LINES[:9])
    whole = conversation.compile(data(), LIMIT)
    prompt = conversation.compile(data(retrieved="word " * 300), LIMIT)
    assert "retrieved" not in names(prompt)
    assert (prompt.anchor, whole.anchor) == (None, None)


def test_a_part_before_the_history_that_went_stays_away_while_the_history_is_cut():
    conversation = chat(Truncation())
    anchor, there = None, []
    for line in LINES:
        conversation.append(line)
        prompt = conversation.compile(data(examples="example " * 12), LIMIT, anchor)
        anchor = prompt.anchor
        there.append("examples" in names(prompt))
    assert there[0]
    assert sum(a != b for a, b in pairwise(there)) == 1


def test_changed_data_that_may_wait_is_taken_at_the_next_cut():
    conversation = chat(Truncation(waits=("memory",)))
    before, taken = None, []
    for turn, line in enumerate(LINES):
        conversation.append(line)
        memory = f"what was said in turn {turn // 10}"
        anchor, held = (before.anchor, before.held) if before else (None, {})
        prompt = conversation.compile(data(memory), LIMIT, anchor, held)
        text = next(part.content for part in prompt.parts if part.name == "memory")
        if before is not None and prompt.anchor == before.anchor:
            assert prompt.held == before.held
            assert prompt.shares(before) >= before.tokens - 4  # all but the open answer
        else:
            assert text == f"Remember {memory}"
            taken.append(turn)
        before = prompt
    assert 3 < len(taken) < 30


def test_a_memory_that_no_longer_fits_does_not_wait():
    conversation = chat(Truncation(waits=("memory",)))
    conversation.update(LINES[:4])
    prompt = conversation.compile(data("short"), LIMIT, None, {"memory": "long " * 400})
    assert prompt.held == {"memory": "short"}


def test_a_caller_that_passes_the_newest_only_has_the_same_prompts():
    whole, windowed = chat(Truncation()), chat(Truncation())
    anchor = None
    for upto in range(1, len(LINES)):
        whole.append(LINES[upto - 1])
        windowed.follow(LINES[max(0, upto - 25) : upto])
        prompt = whole.compile(data(), LIMIT, anchor)
        assert windowed.compile(data(), LIMIT, anchor).token_ids == prompt.token_ids
        anchor = prompt.anchor
    assert anchor is not None


def test_a_window_that_has_nothing_in_common_begins_anew():
    conversation = chat(Truncation())
    conversation.follow(LINES[:10])
    conversation.follow(LINES[40:50])
    assert list(conversation) == LINES[40:50]


@pytest.mark.parametrize("window", [8, 14, 40])
def test_a_caller_that_keeps_only_the_anchor_has_a_boundary_that_lasts(window):
    anchor, before, kept = None, None, []
    for upto in range(1, len(LINES)):
        conversation = chat(Truncation(newest=2))
        conversation.update(LINES[max(0, upto - window) : upto])
        prompt = conversation.compile(data(), LIMIT, anchor, whole=upto <= window)
        if before is not None:
            kept.append(prompt.anchor == anchor)
        anchor, before = prompt.anchor, prompt
    assert sum(kept) > 0.6 * len(kept)


def test_what_one_conversation_tokenized_another_need_not():
    asked: list[str] = []

    def encode(text: str) -> list[int]:
        asked.append(text)
        return list(text.encode())

    tokenizer = CallableTokenizer(encode)
    layout = Layout("", {"system": "", "user": "", "char": ""}, "")
    for _ in range(2):
        conversation = Conversation(TEMPLATE, tokenizer, ChatFormat.TOKENS, layout)
        conversation.update(LINES)
        conversation.edit("5", said(5, "something else"))
        conversation.compile(data(), 10**6)
    assert len(asked) == len(set(asked))


def test_what_is_remembered_is_bounded():
    known = Known(max_held=1000)
    for number in range(500):
        known.put(f"piece {number}", (number,) * 10)
    assert known.get("piece 499") == (499,) * 10
    assert known.get("piece 0") is None
    assert sum(known.get(f"piece {n}") is not None for n in range(500)) <= 50


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"keep": 1.1}, {"newest": -1}, {"reserve": -1}])
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"keep|counts"):
        Truncation(**wrong)


def test_a_common_prefix_is_found():
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([], [1]) == 0
    assert common_prefix([1, 2], [1, 2, 3]) == 2


@pytest.mark.parametrize("spare", [0, 150])
def test_what_is_spared_for_what_comes_and_goes_is_there_when_it_comes(spare):
    conversation = chat(Truncation(spare=spare))
    anchor, there = None, []
    for number, line in enumerate(LINES):
        conversation.append(line)
        retrieved = "a text that was looked up, and says a good deal" if number % 2 else ""
        prompt = conversation.compile(data(retrieved=retrieved), LIMIT, anchor)
        anchor = prompt.anchor
        assert prompt.tokens <= LIMIT
        there.append("retrieved" in prompt.counts)
    assert all(there) == bool(spare)
