"""After any edits, everything is as from a fresh build, and older prompts are what they were."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prompt.support import DATA, MIRA, TOKENIZER, said, texts
from troupe.prompt import (
    BLOCK,
    ChatFormat,
    ChatMessage,
    Conversation,
    Layout,
    PromptTooLong,
    Template,
    Truncation,
    block_hashes,
    platform_template,
)
from troupe.prompt.hashes import common_prefix

PLAIN = Template.parse(
    """
- name: card
  content: |-
    {{ card }}<|space|>
{% for message in history %}
- name: {% if 'PIN' in message.text %}pin{% else %}message{% endif %}

  truncation_priority: {% if 'PIN' in message.text %}0{% else %}2{% endif %}

  sections:
    - name: speaker
      content: "{{ message.name }}: "
    - name: text
      content: "{{ message.text }}{{ '\\n' }}"
{% endfor %}
- name: memory
  truncation_priority: 3
  content: "{{ memory }}"
- name: answer
  content: "Mira:"
""",
    "plain",
)
GIVEN = Template.parse(
    "- name: card\n  content: card\n{% for m in history %}\n- name: message\n"
    '  truncation_priority: 1\n  sections:\n    - name: text\n      content: "{{ m.text }}"\n'
    "    - name: mark\n      tokens: ['<eos>']\n      content: (end)\n"
    '    - name: after\n      content: "{{ m.name }}\\n"\n{% endfor %}',
    "given",
)
RULE = Truncation(keep=0.6, newest=2, waits=("card",))

KINDS: dict[str, tuple[Template, Layout, Truncation]] = {
    "tokens": (platform_template("character"), Layout(), Truncation(newest=2)),
    "parts": (PLAIN, Layout(), RULE),
    "exact": (PLAIN, Layout.text("<bos>"), RULE),
    "given": (GIVEN, Layout.text("<bos>"), RULE),
}
words = st.one_of(texts, st.sampled_from(["PIN ", "you\n", "the you", "  the\n", "\n\n", "é", "a"]))
steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "edit", "remove", "update", "follow", "compile"]),
        st.integers(0, 20),
        words,
    ),
    max_size=25,
)


class Chat:
    """A conversation that is kept, the messages that it should have, and its prompts."""

    def __init__(self, kind: str, limit: int, whole: bool) -> None:
        self.kind, self.limit, self.whole = kind, limit, whole
        self.kept = self.fresh([])
        self.messages: list[ChatMessage] = []
        self.anchor: str | None = None
        self.held: Any = {}
        self.made: list[tuple[Any, Any]] = []

    def fresh(self, messages: list[ChatMessage]) -> Conversation:
        template, layout, rule = KINDS[self.kind]
        conversation = Conversation(template, TOKENIZER, ChatFormat.TOKENS, layout, rule)
        conversation.extend(messages)
        return conversation

    def step(self, number: int, what: str, place: int, text: str) -> None:
        new = said(number, text)
        messages = self.messages
        at = place % len(messages) if messages else 0
        if what == "append":
            self.kept.append(new)
            messages.append(new)
        elif what == "edit" and messages:
            self.kept.edit(messages[at].id, new)
            messages[at] = new
        elif what == "remove" and messages:
            self.kept.remove(messages[at].id)
            del messages[at]
        elif what == "update":
            self.messages = [*messages[:at], new, *messages[at + 1 :]]
            self.kept.update(self.messages)
        elif what == "follow":
            messages.append(new)
            self.kept.follow([ChatMessage(m.id, m.role, m.name, m.text) for m in messages[at:]])
        elif what == "compile":
            self.compile(place, text)

    def compile(self, place: int, text: str) -> None:
        card = {"definition": "x" * (place // 5)}
        data = DATA | {
            "character": MIRA | card,
            "card": "card" + text[: place // 5],
            "memory": text,
        }
        compiled = [
            self.outcome(conversation, data)
            for conversation in (self.kept, self.fresh(self.messages))
        ]
        assert compiled[0][1] == compiled[1][1]
        prompt = compiled[0][0]
        if prompt is not None:
            self.anchor, self.held = prompt.anchor, prompt.held
            self.made.append(compiled[0])

    def outcome(self, conversation: Conversation, data: dict[str, Any]) -> tuple[Any, Any]:
        try:
            prompt = conversation.compile(data, self.limit, self.anchor, self.held, self.whole)
        except PromptTooLong as error:
            return None, str(error)
        return prompt, facts(prompt)


def facts(prompt: Any) -> object:
    return {
        name: getattr(prompt, name)
        for name in ("anchor", "held", "cut_messages", "tokens", "parts", "token_ids", "counts",
                     "block_hashes")
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(edits=steps, limit=st.sampled_from([200, 500, 2000, 10**6]), whole=st.booleans())
@settings(max_examples=60, deadline=None)
def test_after_any_edits_all_is_as_from_a_fresh_build(kind, edits, limit, whole):
    chat = Chat(kind, limit, whole)
    for number, (what, place, text) in enumerate(edits):
        chat.step(number, what, place, text)
    chat.compile(3, "end")
    kept, again = chat.kept, chat.fresh(chat.messages)
    assert kept.messages == again.messages == tuple(chat.messages)
    assert kept.token_ids == again.token_ids
    assert kept.ends == again.ends
    assert kept.block_hashes == again.block_hashes == block_hashes(kept.token_ids)
    for number, (prompt, before) in enumerate(chat.made):
        assert facts(prompt) == before
        check(chat, prompt)
        for earlier, _ in chat.made[:number]:
            assert prompt.shares(earlier) == common_prefix(prompt.token_ids, earlier.token_ids)


def check(chat: Chat, prompt: Any) -> None:
    """What holds of every prompt by itself."""
    assert len(prompt.token_ids) == prompt.tokens <= chat.limit
    assert prompt.block_hashes == block_hashes(prompt.token_ids)
    assert len(prompt.block_hashes) == prompt.tokens // BLOCK
    for start in (0, 1, BLOCK, prompt.tokens - 5, prompt.tokens):
        assert prompt.ids_from(max(0, start)) == prompt.token_ids[max(0, start) :]
        block = max(0, start) // BLOCK
        assert prompt.hashes_from(block) == prompt.block_hashes[block:]
    assert sum(prompt.counts.values()) == prompt.tokens - 1
    if chat.kind == "exact":
        text = "".join(part.content for part in prompt.parts)
        assert prompt.token_ids == [TOKENIZER.special("<bos>"), *TOKENIZER.encode(text)]
