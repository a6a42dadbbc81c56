"""Messages that are taken in many at once come to what each comes to part by part."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prompt.support import DATA, TOKENIZER, texts
from troupe.prompt import (
    CallableTokenizer,
    ChatFormat,
    ChatMessage,
    Conversation,
    DataError,
    Image,
    Layout,
    LimitExceeded,
    Limits,
    PromptError,
    Template,
    TemplateError,
    Truncation,
)

BODIES = {
    "platform": """
- name: message
  role: "{{ m.role }}"
  truncation_priority: 1
  sections:
    - name: speaker
      content: "{{ m.name }}\\n"
    - name: text
      content: "{{ m.text }}"
""",
    "two parts": """
- name: "{{ m.name }}x"
  truncation_priority: 3
  content: "{{ m.name }}: {{ m.text }}{{ m.id }} {{ m.text }}"
- name: b
  role: char
  truncation_priority: 2
  content: 'said by {{ m.role }}'
""",
    "no value": "\n- name: a\n  truncation_priority: 1\n  content: ''\n",
    "never goes": "\n- name: a\n  content: '{{ m.text }}'\n",
    "its own tokens": """
- name: a
  truncation_priority: 1
  sections:
    - name: mark
      tokens: ['<eos>']
    - name: text
      content: "{{ m.text }}"
""",
}
HEAD = "- name: card\n  role: system\n  content: card\n{% for m in history %}"
LAYOUTS = {"frame": Layout(), "bare": Layout("", dict.fromkeys(Layout().roles, ""), "")}
messages = st.lists(
    st.builds(
        ChatMessage,
        st.uuids().map(str),
        st.sampled_from(["user", "char", "assistant"]),
        texts,
        texts,
        st.sampled_from([(), (), (), (Image("http://x.test/a.png", tokens=7),)]),
    ),
    max_size=12,
)


def template(body: str, straight: bool, limits: Limits | None = None) -> Template:
    return Template.parse(
        HEAD + (body if straight else "{% if true %}" + body + "{% endif %}") + "{% endfor %}",
        "t",
        limits,
    )


def outcome(conversation: Conversation, limit: int) -> dict[str, Any]:
    prompt = conversation.compile(DATA, limit)
    names = ("anchor", "cut_messages", "tokens", "token_ids", "messages", "counts", "parts")
    return {name: getattr(prompt, name) for name in names} | {
        "ends": conversation.ends,
        "ids": conversation.token_ids,
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("body", BODIES)
@given(history=messages, chat_format=st.sampled_from(ChatFormat), limit=st.integers(40, 400))
@settings(max_examples=40, deadline=None)
def test_all_at_once_is_as_part_by_part(body, layout, history, chat_format, limit):
    found = []
    for straight in (True, False):
        conversation = Conversation(
            template(BODIES[body], straight),
            TOKENIZER,
            chat_format,
            LAYOUTS[layout],
            Truncation(newest=1),
        )
        try:
            conversation.extend(history)
            found.append(outcome(conversation, limit))
        except (PromptError, ValueError) as error:
            found.append({"error": type(error), "text": str(error)})
    assert found[0] == found[1]


@given(history=messages.filter(lambda given: not any(m.attachments for m in given)))
@settings(max_examples=40, deadline=None)
def test_many_at_once_are_as_one_by_one(history):
    together, alone = (
        Conversation(template(BODIES["platform"], True), TOKENIZER, ChatFormat.TOKENS)
        for _ in range(2)
    )
    together.extend(history)
    for message in history:
        alone.append(message)
    assert outcome(together, 10**6) == outcome(alone, 10**6)


def test_a_text_that_stands_twice_is_tokenized_once():
    asked: list[str] = []

    def encode(text: str) -> list[int]:
        asked.append(text)
        return TOKENIZER.encode(text)

    conversation = Conversation(
        template(BODIES["platform"], True), CallableTokenizer(encode), ChatFormat.MESSAGES
    )
    conversation.extend([ChatMessage(str(n), "user", "Ada", "Hello!") for n in range(5)])
    assert conversation.compile(DATA, 1000).messages is not None
    assert sorted(asked) == ["Ada\n", "Hello!", "card"]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([ChatMessage("2", "user", "Ada", "x"), ChatMessage("1", "user", "Ada", "x")], ValueError),
        ([ChatMessage("2", "user", "Ada", "x"), ChatMessage("2", "user", "Ada", "x")], ValueError),
        ([ChatMessage("2", "user", "Ada", "x"), ChatMessage("3", "user", "", "\ud800")], DataError),
        ([ChatMessage("2", "user", "Ada", "x"), ChatMessage("3", "system", "", "")], TemplateError),
        (
            [ChatMessage("2", "user", "a", "x"), ChatMessage("3", "user", "", "x" * 1500)],
            LimitExceeded,
        ),
    ],
)
def test_what_is_refused_leaves_the_conversation_as_it_was(messages, error):
    limited = template(BODIES["platform"], True, Limits(chars=2000))
    conversation = Conversation(limited, TOKENIZER, ChatFormat.TOKENS)
    conversation.append(ChatMessage("1", "user", "Ada", "Hello!"))
    before = outcome(conversation, 1000)
    with pytest.raises(error):
        conversation.extend(messages)
    assert outcome(conversation, 1000) == before
