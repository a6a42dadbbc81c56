"""Lines in TRL's schemas are read as meant, and bad ones are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train.finetune.conftest import said, write_lines
from troupe.train.errors import DataError
from troupe.train.finetune.examples import (
    ChatMessage,
    Talk,
    read_judged,
    read_pairs,
    read_talks,
)

HI, HELLO, BYE = said("user", "Hi"), said("assistant", "Hello"), said("assistant", "Bye", "Mira")


def test_of_a_conversation_all_answers_are_learned_and_of_a_completion_only_itself(
    tmp_path: Path,
) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        [{"messages": [HI, HELLO, HI, BYE]}, {"prompt": [HI, HELLO, HI], "completion": [BYE]}],
    )
    messages = (
        ChatMessage("user", "Hi"),
        ChatMessage("assistant", "Hello"),
        ChatMessage("user", "Hi"),
        ChatMessage("assistant", "Bye", "Mira"),
    )
    assert list(read_talks(path)) == [Talk(messages, 0), Talk(messages, 3)]


def test_a_pair_without_prompt_has_what_its_sides_share(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        [
            {"prompt": [HI], "chosen": [HELLO], "rejected": [BYE]},
            {"chosen": [HI, HELLO], "rejected": [HI, BYE]},
        ],
    )
    first, second = read_pairs(path)
    assert first == second
    assert first.chosen.learn_from == first.rejected.learn_from == 1


def test_thumbs_are_booleans(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a", [{"prompt": [HI], "completion": [HELLO], "label": False}])
    assert [one.liked for one in read_judged(path)] == [False]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("[]", "must be a JSON object"),
        ({}, "'prompt' is missing"),
        ({"messages": []}, "must be a list of messages"),
        ({"messages": ["hi"]}, r"messages\[0\] must be an object"),
        ({"messages": [{"role": "bot", "content": ""}]}, r"messages\[0\].role is 'bot'"),
        ({"messages": [{"role": "user", "content": 3}]}, r"messages\[0\].content must be a text"),
        ({"messages": [{**HI, "name": 3}]}, r"messages\[0\].name must be a text"),
        ({"messages": [HI]}, "no message of the assistant"),
        ({"messages": [HI, said("assistant", "")]}, "is empty"),
        ({"prompt": [HELLO], "completion": [HI]}, "no message of the assistant"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, complaint: str) -> None:
    path = tmp_path / "a.jsonl"
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_text(json.dumps({"messages": [HI, HELLO]}) + "\n\n" + text + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl:3: .*{complaint}"):
        list(read_talks(path))


def test_sides_that_are_the_same_and_labels_that_are_no_thumbs_are_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a", [{"prompt": [HI], "chosen": [BYE], "rejected": [BYE]}])
    with pytest.raises(DataError, match="the same"):
        list(read_pairs(path))
    path = write_lines(tmp_path / "b", [{"prompt": [HI], "completion": [BYE], "label": 1}])
    with pytest.raises(DataError, match="label must be true or false"):
        list(read_judged(path))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list(read_talks(tmp_path / "nowhere"))
