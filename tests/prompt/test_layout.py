"""OpenAI messages, and the platform's templates to the letter."""

from __future__ import annotations

import pytest

from tests.prompt.support import DATA, MIRA, TOKENIZER, said
from troupe.prompt import (
    ChatFormat,
    EstimateTokenizer,
    TokenizerError,
    compile_prompt,
    platform_template,
    replace_names,
)

BO = {
    "name": "Bo",
    "tagline": "",
    "description": "",
    "definition": "Rows.",
    "example_dialogues": "",
}
GROUP = {
    "characters": [MIRA | {"definition": "", "example_dialogues": "", "description": ""}, BO],
    "speaker": "Bo",
    "user": {"name": "Ada", "description": ""},
    "partial": "",
}


def messages(template: str, data: dict, history: list) -> tuple[list, tuple[str, ...]]:
    prompt = compile_prompt(
        platform_template(template), data, history, EstimateTokenizer(), ChatFormat.MESSAGES, 4000
    )
    assert prompt.messages is not None
    return prompt.messages, prompt.stop


def test_one_character_is_the_assistant():
    history = [said(1, "Tea?", "char", "Mira Vale"), said(2, "Yes")]
    made, stop = messages("character", DATA, history)
    assert [(m["role"], m["content"]) for m in made[1:]] == [("assistant", "Tea?"), ("user", "Yes")]
    assert stop == ("\nAda:",)


def test_an_answer_that_was_begun_goes_last():
    made, _ = messages("character", DATA | {"partial": "*pou"}, [said(1, "Tea!")])
    assert made[-1] == {"role": "assistant", "content": "*pou"}


def test_neighbours_of_one_role_become_one_message():
    made, _ = messages("character", DATA, [said(1, "Hi"), said(2, "there")])
    assert made[1:] == [{"role": "user", "content": "Hi\n\nthere"}]


def test_in_a_group_others_lines_bear_their_names():
    history = [
        said(1, "Ahoy", "char", "Mira Vale"),
        said(2, "Hello both"),
        said(3, "Evening.", "char", "Bo"),
        said(4, "Tea?", "char", "Mira Vale"),
    ]
    made, stop = messages("group", GROUP, history)
    assert made == [
        {
            "role": "system",
            "content": "You are Mira Vale. Keeps a lighthouse\nYou are Bo.\nRows.\n"
            "You are talking with Ada.\nThe people here: Mira Vale and Bo.",
        },
        {"role": "user", "content": "Mira Vale: Ahoy\n\nAda: Hello both"},
        {"role": "assistant", "content": "Evening."},
        {"role": "user", "content": "Mira Vale: Tea?"},
    ]
    assert stop == ("\nAda:", "\nMira Vale:")


def test_a_card_leaves_out_the_lines_of_empty_fields():
    empty = dict.fromkeys(MIRA, "") | {"name": "Bo"}
    data = DATA | {"character": empty, "user": {"name": "Ada", "description": ""}}
    (card, _) = platform_template("character").render(data)
    assert card.content == "You are Bo.\nYou are talking with Ada."


def test_instructions_stand_after_the_definition():
    (card, _) = platform_template("character").render(DATA | {"instructions": "Rhyme, {{char}}."})
    assert "Age: 41\nRhyme, Mira Vale.\nExamples:" in card.content


def test_names_are_put_in_once_and_never_read_again():
    text = "{{char}} {{ USER }} {{Char}} <BOT> <user> {{other}}"
    assert replace_names(text, "{{user}}", "{{char}}") == (
        "{{user}} {{char}} {{user}} {{user}} {{char}} {{other}}"
    )


def test_a_name_that_is_a_macro_stays_a_name():
    data = DATA | {"user": {"name": "{{char}}", "description": ""}}
    (card, _) = platform_template("character").render(data)
    assert "{{char}}: Tea?" in card.content


def test_a_tokenizer_without_the_formats_tokens_is_refused():
    with pytest.raises(TokenizerError, match="<bos>"):
        compile_prompt(
            platform_template("character"), DATA, [], EstimateTokenizer(), ChatFormat.TOKENS, 100
        )
    assert TOKENIZER.special("<bos>") == 2
