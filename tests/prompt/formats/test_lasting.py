"""A prompt's tokens are those of a fresh format, whatever prompts went before; and no more is
tokenized than what is new."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.prompt.formats.families import SOURCE, chat_template, part
from tests.prompt.support import TOKENIZER, texts
from troupe.prompt import CallableTokenizer
from troupe.prompt.formats import OpenAIMessages, PlainText
from troupe.prompt.formats.lasting import Lasting

FAMILIES = ["chatml", "gemma", "llama3", "phi"]
pieces = st.sampled_from(
    ["<|im_start|>", "<|im_end|>", "<|im_", "user", "\n", " ", "the ", "é", "x"]
)


@pytest.mark.parametrize("family", FAMILIES)
@given(chats=st.lists(st.lists(texts, min_size=1, max_size=6), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_what_went_before_changes_no_token(family, chats):
    kept = chat_template(family)
    for chat in chats:
        parts = [
            part("user" if n % 2 == 0 else "char", text, "Ada" if n % 2 == 0 else "Mira")
            for n, text in enumerate(["first", *chat])
        ]
        parts.append(part("char", "", "Mira"))
        made, fresh = kept.render(parts), chat_template(family).render(parts)
        assert (made.token_ids, made.counts) == (fresh.token_ids, fresh.counts)


@given(given=st.lists(st.lists(pieces, max_size=12).map("".join), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_text_has_the_tokens_that_it_has_by_itself(given):
    tokenizer = Tokenizer.from_str(SOURCE)
    added = {token.content: id_ for id_, token in tokenizer.get_added_tokens_decoder().items()}
    lasting = Lasting(tokenizer, added.values(), max(map(len, added)))
    for text in given:
        assert lasting.encode(text) == tokenizer.encode(text, add_special_tokens=False).ids


class Counting:
    """A tokenizer that says how much it was asked to tokenize."""

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, text: str) -> list[int]:
        self.asked += len(text)
        return TOKENIZER.encode(text)


@pytest.mark.parametrize("made", [PlainText, OpenAIMessages])
def test_a_turn_tokenizes_what_is_new(made):
    counting = Counting()
    chat_format = made(CallableTokenizer(counting.encode, seams=True))
    people = [("user", "Ada"), ("char", "Mira")]
    parts = [part(people[n % 2][0], f"Line {n} of it", people[n % 2][1]) for n in range(200)]
    answer = part("char", "", "Mira")
    chat_format.render([*parts, answer])
    before = counting.asked
    parts.append(part("user", "And one more", "Ada"))
    found = chat_format.render([*parts, answer])
    assert counting.asked - before < 300
    assert found.counts == made(TOKENIZER).render([*parts, answer]).counts
