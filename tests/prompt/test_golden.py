"""The platform's templates, to the letter. `python -m tests.prompt.test_golden` writes the files
anew; look at what changed before you commit it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.prompt.support import TOKENIZER
from troupe.prompt import ChatFormat, PromptTooLong, compile_prompt, platform_template
from troupe.prompt.formats import OpenAIMessages
from troupe.prompt.tools.diff import readable
from troupe.prompt.tools.inputs import Inputs, read_inputs
from troupe.prompt.tools.words import WordTokenizer

FOLDER = Path(__file__).parent / "golden"
OPTIONAL = ("pins", "memory", "lorebook")
EMPTY_CARD = {"tagline": "", "description": "", "definition": "", "example_dialogues": ""}


def inputs(kind: str) -> Inputs:
    found = read_inputs((FOLDER / "chat.yaml").read_text("utf-8"))
    if kind == "full":
        return found
    data = {key: value for key, value in found.data.items() if key not in OPTIONAL}
    if kind == "bare":
        data["character"] = {"name": "Mira"} | EMPTY_CARD
        data["characters"] = [{"name": "Mira"} | EMPTY_CARD, {"name": "Bo"} | EMPTY_CARD]
        data |= {"instructions": "", "user": {"name": "Ada", "description": ""}}
    return Inputs(data, found.history)


def made(name: str, kind: str) -> str:
    """As people read it, and as OpenAI messages."""
    template, given = platform_template(name), inputs(kind)
    parts = template.render(given.data, given.history)
    messages = OpenAIMessages(WordTokenizer()).render(parts).messages
    shown = json.dumps(messages, ensure_ascii=False, indent=1)
    return "\n".join([*readable(template, given), "", "As messages:", shown, ""])


CASES = [(name, kind) for name in ("character", "group") for kind in ("full", "plain", "bare")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_is_what_it_was(name, kind):
    assert made(name, kind) == (FOLDER / f"{name}-{kind}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", ["character", "group"])
def test_lists_that_are_empty_are_as_if_they_were_not_there(name):
    given = inputs("plain")
    template = platform_template(name)
    empty = given.data | {key: [] for key in OPTIONAL}
    assert template.render(empty, given.history) == template.render(given.data, given.history)


@pytest.mark.parametrize("name", ["character", "group"])
def test_what_is_recalled_costs_nothing_of_the_history(name):
    given = inputs("full")

    def ids(**changed):
        data = given.data | changed
        prompt = compile_prompt(
            platform_template(name), data, given.history, TOKENIZER, ChatFormat.TOKENS, 10_000
        )
        return prompt.token_ids

    one, other = ids(), ids(memory=["Another."], lorebook=[])
    same = next(n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    history = sum(len(TOKENIZER.encode(m.text)) for m in given.history)
    assert same > history + 100


def test_another_speaker_finds_the_same_beginning():
    given, template = inputs("full"), platform_template("group")
    heads = {template.head(given.data | {"speaker": name}) for name in ("Mira", "Bo", "Ines")}
    assert len(heads) == 1


@pytest.mark.parametrize("name", ["character", "group"])
def test_where_room_is_short_the_lorebook_goes_first_and_pins_stay(name):
    given, template = inputs("full"), platform_template(name)
    seen = []
    for limit in range(1400, 200, -5):
        try:
            prompt = compile_prompt(
                template, given.data, given.history, TOKENIZER, ChatFormat.TOKENS, limit
            )
        except PromptTooLong:
            break
        names = tuple(part.name for part in prompt.parts if part.name != "message")
        if not seen or seen[-1] != names:
            seen.append(names)
    everything = ("cards" if name == "group" else "card", "pins")
    assert seen == [
        (*everything, "memory", "lorebook", "answer"),
        (*everything, "memory", "answer"),
        (*everything, "answer"),
    ]


if __name__ == "__main__":
    for name, kind in CASES:
        (FOLDER / f"{name}-{kind}.txt").write_text(made(name, kind), encoding="utf-8")
