"""The same parts as plain text and as OpenAI messages, each with its price."""

from __future__ import annotations

import pytest

from tests.prompt.formats.families import part
from tests.prompt.support import TOKENIZER
from troupe.prompt import ChatMessage, FormatError, Template, platform_template
from troupe.prompt.attachments import Image, ToolCall, ToolResult
from troupe.prompt.formats import Names, OpenAIMessages, Overhead, PlainText, to_messages

CARD = part("system", "You are Mira.")
GROUP = [
    CARD,
    part("char", "Ahoy", "Bo Reed"),
    part("user", "Hello both", "Ada"),
    part("char", "Evening.", "Mira"),
    part("char", "Tea?", "Bo Reed"),
    part("char", "", "Mira"),
]
PHOTO = Image("https://example.org/a.png", "low", tokens=85)


def size(text: str) -> int:
    return len(TOKENIZER.encode(text))


def test_plain_text_is_a_line_for_each_who_speaks():
    made = PlainText(TOKENIZER).render(GROUP)
    assert made.text == (
        "You are Mira.\nBo Reed: Ahoy\nAda: Hello both\nMira: Evening.\nBo Reed: Tea?\nMira:"
    )
    assert made.tokens == size(made.text) == len(made.token_ids)
    texts = ["You are Mira.", "Ahoy", "Hello both", "Evening.", "Tea?"]
    assert sum(made.counts.values()) == sum(map(size, texts))
    assert made.overhead == made.tokens - sum(made.counts.values())
    assert made.stop == ("\nAda:", "\nBo Reed:")


def test_plain_text_can_name_people_as_cards_do():
    names = {"Mira": "{{char}}", "Ada": "{{user}}"}
    made = PlainText(TOKENIZER, names=names, begin="<bos>").render(
        [part("user", "Tea?", "Ada"), part("char", "*nods", "Mira")]
    )
    assert made.text == "{{user}}: Tea?\n{{char}}: *nods"
    assert made.token_ids[0] == TOKENIZER.special("<bos>")
    assert made.tokens == 1 + size(made.text)


def test_plain_text_mentions_what_is_no_text():
    parts = [
        part("user", "Look", "Ada", (PHOTO, Image("data:" + "x" * 300))),
        part("char", "", "Mira", (ToolCall("1", "look", '{"at": "sea"}'),)),
        part("user", "fog", "look", (ToolResult("1"),)),
    ]
    assert PlainText(TOKENIZER).render(parts).text == (
        "Ada: Look\n[image: https://example.org/a.png]\n[image: inline]\n"
        'Mira: \n[look {"at": "sea"}]\nlook: fog'
    )


def test_plain_text_wants_a_token_that_there_is():
    with pytest.raises(FormatError, match="<nope>"):
        PlainText(TOKENIZER, begin="<nope>").render(GROUP)


def test_messages_cost_what_openai_counts():
    made = OpenAIMessages(TOKENIZER).render([CARD, part("user", "Hi", "Ada"), part("char", "")])
    assert made.messages == [
        {"role": "system", "content": "You are Mira."},
        {"role": "user", "content": "Hi"},
    ]
    texts = ["system", "You are Mira.", "user", "Hi"]
    assert made.tokens == 3 + sum(map(size, texts)) + 2 * 3
    assert made.overhead == 3 + 2 * 3 + size("system") + size("user")


def test_in_a_group_each_message_can_bear_a_name():
    made = OpenAIMessages(TOKENIZER, Names.FIELD, Overhead(message=0, name=2, reply=0)).render(
        GROUP
    )
    assert made.messages == [
        {"role": "system", "content": "You are Mira."},
        {"role": "assistant", "name": "Bo_Reed", "content": "Ahoy"},
        {"role": "user", "name": "Ada", "content": "Hello both"},
        {"role": "assistant", "name": "Mira", "content": "Evening."},
        {"role": "assistant", "name": "Bo_Reed", "content": "Tea?"},
    ]
    words = [word for message in made.messages for word in message.values()]
    assert made.tokens == sum(map(size, words)) + 4 * 2


def test_neighbours_of_one_name_become_one_message():
    parts = [part("char", "a", "Bo"), part("char", "b", "Bo"), part("user", "c", "Ada")]
    assert to_messages(parts, Names.FIELD)[0] == {
        "role": "assistant",
        "name": "Bo",
        "content": "a\n\nb",
    }


def test_images_and_calls_are_carried_through():
    parts = [
        part("user", "What is it?", "Ada", (PHOTO,)),
        part("user", "And this?", "Ada", (Image("data:,"),)),
        part("char", "", "Mira", (ToolCall("1", "look", '{"at": "sea"}'),)),
        part("user", "fog", "look", (ToolResult("1"),)),
        part("char", "", "Mira"),
    ]
    made = OpenAIMessages(TOKENIZER).render(parts)
    assert made.messages == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": PHOTO.url, "detail": "low"}},
                {"type": "text", "text": "And this?"},
                {"type": "image_url", "image_url": {"url": "data:,"}},
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"at": "sea"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "fog"},
    ]
    texts = ["user", "What is it?", "And this?", "assistant", "look", '{"at": "sea"}', "tool"]
    told = ["1", "fog"]
    assert made.tokens == 3 + 3 * 3 + sum(map(size, texts + told)) + PHOTO.tokens
    assert made.stop == ("\nAda:",)


def test_a_templates_last_part_carries_what_its_message_does():
    template = Template.parse(
        "{% for m in history %}\n- name: head\n  content: h\n"
        "- name: said\n  content: '{{ m.text }}'\n{% endfor %}"
    )
    message = ChatMessage("1", "user", "Ada", "Look", (PHOTO,))
    assert [p.attachments for p in template.message(message)] == [(), (PHOTO,)]
    (said,) = platform_template("character").message(message)
    assert said.attachments == (PHOTO,)
