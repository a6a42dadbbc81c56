"""Tokens that a template gives in the place of a content's."""

from __future__ import annotations

import pytest

from tests.prompt.support import TOKENIZER
from troupe.prompt import (
    ChatFormat,
    EstimateTokenizer,
    Template,
    TemplateError,
    TokenizerError,
    compile_prompt,
)


def test_they_stand_in_the_place_of_the_contents():
    template = Template.parse(
        "- name: a\n  sections:\n    - name: mark\n      tokens: ['<eos>', 12]\n"
        "    - name: text\n      content: {{ x }}\n"
        "- name: b\n  content: seen as text\n  tokens: ['<|end|>']\n"
    )
    prompt = compile_prompt(template, {"x": "<eos>"}, [], TOKENIZER, ChatFormat.TOKENS, 1000)
    special = TOKENIZER.special
    assert prompt.token_ids == [
        special("<bos>"), special("<|user|>"), special("<eos>"), 12,
        *TOKENIZER.encode("<eos>"), special("<|end|>"),
        special("<|user|>"), special("<|end|>"), special("<|end|>"),
    ]  # fmt: skip
    assert prompt.parts[1].content == "seen as text"


def test_one_that_the_vocabulary_lacks_is_named():
    unknown = Template.parse("- name: a\n  tokens: ['<no>']")
    with pytest.raises(TokenizerError, match="'<no>', which the part 'a' of the template"):
        compile_prompt(unknown, {}, [], TOKENIZER, ChatFormat.TOKENS, 1000)


def test_as_messages_they_are_counted():
    template = Template.parse("- name: a\n  content: b\n  tokens: [1, 2, 3]")
    prompt = compile_prompt(template, {}, [], EstimateTokenizer(), ChatFormat.MESSAGES, 1000)
    assert prompt.tokens == 3 + 4


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ("7", "a list of ids"),
        ("[[7]]", "a text is wanted"),
        ("[{name: x}]", "a list of ids|a text is wanted"),
        ("[9999999999]", "at most 2147483647"),
        ("['{{ x }}']", "never from a value"),
        ("['<{{ x }}>']", "never from a value"),
    ],
)
def test_what_is_no_list_of_the_templates_own_is_refused(tokens, why):
    for text in (
        f"- name: a\n  tokens: {tokens}",
        f"- name: a\n  sections:\n    - name: b\n      tokens: {tokens}",
    ):
        with pytest.raises(TemplateError, match=why):
            Template.parse(text).render({"x": "<eos>"})
