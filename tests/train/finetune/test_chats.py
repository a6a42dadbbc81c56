"""Only answers and their end tokens are learned, as the engine would have written them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from troupe.engine.chat_template import ChatTemplate
from troupe.train.data import Document
from troupe.train.errors import DataError
from troupe.train.finetune.chats import ChatEncoder
from troupe.train.finetune.examples import ChatMessage, Talk
from troupe.train.tokenizer import END

TALK = Talk(
    (
        ChatMessage("system", "You are Mira."),
        ChatMessage("user", "Who are you? <|end|>", "Sam"),
        ChatMessage("assistant", "*smiles* Mira.", "Mira"),
        ChatMessage("user", "And he?"),
        ChatMessage("assistant", "<|end|> is not an end.", "Tom"),
    )
)


def learned(base: Path, document: Document) -> str:
    ids = [i for i, w in zip(document.ids, document.weights, strict=True) if w]
    return Tokenizer.from_file(str(base / "tokenizer.json")).decode(ids, skip_special_tokens=False)


def test_answers_and_their_ends_are_learned_and_nothing_else(base: Path) -> None:
    document = ChatEncoder(base).encode(TALK)
    assert learned(base, document) == "*smiles* Mira.<|end|><|end|> is not an end.<|end|>"
    ends = [n for n, token in enumerate(document.ids) if token == END and document.weights[n]]
    assert document.cuts == tuple(n + 1 for n in ends)  # the ones in the texts are just text
    assert len(ends) == 2


def test_of_a_completion_only_the_completion_is_learned(base: Path) -> None:
    document = ChatEncoder(base).encode(Talk(TALK.messages, 4))
    assert learned(base, document) == "<|end|> is not an end.<|end|>"


texts = st.text(min_size=1, max_size=20)
messages = st.builds(ChatMessage, st.sampled_from(["user", "assistant"]), texts, texts)


@pytest.fixture(scope="module")
def encoder(base: Path) -> ChatEncoder:
    return ChatEncoder(base)


@pytest.fixture(scope="module")
def template(base: Path) -> ChatTemplate:
    return ChatTemplate(base, Tokenizer.from_file(str(base / "tokenizer.json")))


@given(st.lists(messages, max_size=5), texts)
def test_what_is_learned_stands_where_the_engine_would_write_it(
    encoder: ChatEncoder, template: ChatTemplate, before: list[ChatMessage], answer: str
) -> None:
    """The prompt that the engine makes of the messages before is what stands before the answer."""
    talk = Talk((*before, ChatMessage("assistant", answer, "Mira")), len(before))
    document = encoder.encode(talk)
    prompt = template.encode([m.plain() for m in before], {"assistant_name": "Mira"})
    assert list(document.ids[: len(prompt)]) == prompt
    assert set(document.weights[: len(prompt)]) <= {0.0}
    assert set(document.weights[len(prompt) :]) == {1.0}
    assert document.ids[-1] == END


def with_template(base: Path, folder: Path, template: str) -> ChatEncoder:
    shutil.copytree(base, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": template}))
    return ChatEncoder(folder)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", "no end token behind messages"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "no end token behind messages"),
        ("{{ messages[0].content }}<|end|>", r"leaves out messages\[2\]"),
        ("{{ raise_exception('names are not allowed') }}", "names are not allowed"),
    ],
)
def test_a_template_that_cannot_teach_is_refused(
    base: Path, tmp_path: Path, template: str, complaint: str
) -> None:
    encoder = with_template(base, tmp_path / "model", template)
    with pytest.raises(DataError, match=complaint):
        encoder.encode(TALK)


def test_what_a_template_writes_between_an_answer_and_its_end_is_learned(
    base: Path, tmp_path: Path
) -> None:
    source = "{% for m in messages %}{{ m.content }}\n<|end|>\nx{% endfor %}"
    encoder = with_template(base, tmp_path / "model", source)
    assert learned(base, encoder.encode(Talk(TALK.messages, 4))).endswith("is not an end.\n<|end|>")


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer\.json does not exist"):
        ChatEncoder(tmp_path)
