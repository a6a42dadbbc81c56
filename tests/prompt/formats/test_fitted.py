"""A conversation's prompt within a limit of a chat format's own tokens."""

from __future__ import annotations

import pytest

from tests.prompt.formats.families import chat_template
from tests.prompt.support import DATA, TOKENIZER, said
from troupe.prompt import (
    ChatFormat,
    Conversation,
    EstimateTokenizer,
    FormatError,
    Image,
    PromptTooLong,
    Template,
    ToolCall,
    platform_template,
)
from troupe.prompt.formats import fitted


def conversation(messages: int) -> Conversation:
    made = Conversation(platform_template("character"), EstimateTokenizer(), ChatFormat.MESSAGES)
    for number in range(messages):
        role, name = ("char", "Mira Vale") if number % 2 == 0 else ("user", "Ada")
        made.append(said(number, f"message {number} about the sea", role, name))
    return made


@pytest.mark.parametrize("family", ["chatml", "gemma", "llama3"])
def test_it_holds_the_limit_to_the_token_and_cuts_forwards(family):
    template, anchors, anchor = chat_template(family), [], None
    for messages in range(40, 80, 2):
        prompt, made = fitted(conversation(messages), template, DATA, 1200, anchor)
        anchor = prompt.anchor
        anchors.append(prompt.cut_messages)
        assert made.tokens == len(made.token_ids) <= 1200
    assert anchors == sorted(anchors)
    assert len(set(anchors)) < 8


def test_what_cannot_fit_is_said():
    with pytest.raises(PromptTooLong):
        fitted(conversation(3), chat_template("llama3"), DATA, 60)


def test_a_model_of_text_refuses_images_and_others_count_them():
    template = Template.parse(
        "{% for m in history %}\n- name: m\n  content: '{{ m.text }}'\n{% endfor %}"
    )
    message = said(1, "Look")
    shown = type(message)("1", "user", "Ada", "Look", (Image("data:,", tokens=85),))
    with pytest.raises(FormatError, match="attachment"):
        Conversation(template, TOKENIZER, ChatFormat.TOKENS).append(shown)
    counts = []
    for one in (message, shown):
        made = Conversation(template, EstimateTokenizer(), ChatFormat.MESSAGES)
        made.append(one)
        counts.append(made.compile({}, 1000).tokens)
    assert counts[1] - counts[0] == 85
    called = type(message)("1", "char", "Bo", "", (ToolCall("1", "look", "{}"),))
    made = Conversation(template, EstimateTokenizer(), ChatFormat.MESSAGES)
    made.append(called)
    assert made.tokens > 4
