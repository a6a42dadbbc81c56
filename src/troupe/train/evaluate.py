"""How well a checkpoint plays: a table of held-out figures for any Hugging Face folder.

Personas, values and phrasings come from the corpus's held-out half. Answers are made by the
serving engine, one prompt each, with the conversation so far as the corpus has it. Called by the
command line; figures are fractions of 0 to 1.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from troupe.engine.engine import Engine
from troupe.engine.sampling import SamplingParams
from troupe.engine.types import EngineOptions, GenerateRequest
from troupe.train.corpus import Dialogue, Size, Split, dialogue
from troupe.train.data import encode_prompt
from troupe.train.graceful import turns_aside
from troupe.train.tokenizer import TextTokenizer

LONGEST_ANSWER = 120  # tokens
_SEED = 20_000_003
_TOLD_DISTANCE = 8  # exchanges


@dataclass(frozen=True, slots=True)
class Case:
    """One question put to the model. `others` are the names that must not speak."""

    dialogue: Dialogue
    upto: int  # messages before the answer
    name: str  # who is to answer
    kind: str
    expect: tuple[str, ...]
    others: tuple[str, ...]
    foreign: tuple[str, ...] = ()  # facts of other characters that must not be claimed


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, and whether it ended by itself."""

    text: str
    stopped: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table."""

    name: str
    value: float
    count: int


def cases(count: int, size: Size, seed: int = _SEED) -> list[Case]:
    """About `count` questions of each sort, from held-out conversations."""
    wanted: dict[str, int] = {"card": count, "told": count, "group": count, "ood": count}
    found: list[Case] = []
    index = 0
    while any(wanted.values()) and index < 400 * count:
        made = dialogue(seed, index, Split.HELD_OUT, size)
        index += 1
        group = "The people here:" in made.system
        for at, message in enumerate(made.messages):
            sort = _sort(message.kind, group)
            if message.role != "char" or not wanted.get(sort, 0):
                continue
            if group and not message.expect:
                continue
            wanted[sort] -= 1
            found.append(_case(made, at, sort))
            if sort in ("card", "group"):
                break  # one a conversation, so that no card counts often
    return found


def _sort(kind: str, group: bool) -> str:
    if group:
        return "group"
    if kind.startswith("card:"):
        return "card"
    if kind.startswith("told:"):
        return "told" if int(kind.rsplit(":", 1)[1]) >= _TOLD_DISTANCE else ""
    return "ood" if kind in ("ood", "oodmath") else ""


def _case(made: Dialogue, at: int, sort: str) -> Case:
    message = made.messages[at]
    names = {m.name for m in made.messages} - {message.name}
    foreign = {
        value
        for m in made.messages
        if sort == "group" and m.role == "char" and m.name != message.name
        for value in m.expect
    } - set(message.expect)
    return Case(
        made, at, message.name, message.kind, message.expect, tuple(sorted(names)),
        tuple(sorted(foreign)),
    )  # fmt: skip


async def answers(folder: Path, asked: Sequence[Case], threads: int = 1) -> list[Answer]:
    """The model's greedy answers."""
    tokenizer = TextTokenizer.load(folder)
    engine = Engine(folder, EngineOptions(threads=threads))
    engine.start()
    await engine.loaded()
    room = asyncio.Semaphore(32)
    longest = engine.context_length - LONGEST_ANSWER

    async def one(case: Case) -> Answer:
        prompt = encode_prompt(tokenizer, case.dialogue, case.upto, case.name)
        if len(prompt) > longest:
            return Answer("", stopped=False)
        request = GenerateRequest(prompt, LONGEST_ANSWER, SamplingParams(temperature=0.0))
        text, stopped = "", False
        async with room:
            async for chunk in engine.generate(request):
                text += chunk.text
                stopped = chunk.finish_reason == "stop"
        return Answer(text, stopped)

    try:
        return list(await asyncio.gather(*(one(case) for case in asked)))
    finally:
        await engine.close()


def holds(text: str, wanted: str) -> bool:
    """Whether an answer gives a fact; case and spaces do not count."""
    return _plain(wanted) in _plain(text)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def speaks_for_others(case: Case, answer: Answer) -> bool:
    """Whether the answer goes on as somebody else, or does not end."""
    lines = [line.strip() for line in answer.text.split("\n")]
    openings = tuple(f"{name}:" for name in case.others)
    return not answer.stopped or any(
        line in case.others or line.startswith(openings) for line in lines
    )


def graceful(_: Case, answer: Answer) -> bool:
    """Whether a question from outside the character's world is turned aside, and not with an
    empty or endless answer."""
    return answer.stopped and turns_aside(answer.text)


def right(case: Case, answer: Answer) -> bool:
    """Whether the answer holds a fact that was asked for."""
    return any(holds(answer.text, wanted) for wanted in case.expect)


def as_named(case: Case, answer: Answer) -> bool:
    """In a group: ends, leaves the others' lines to them and claims none of their facts."""
    return not speaks_for_others(case, answer) and not any(
        holds(answer.text, value) for value in case.foreign
    )


def figures(asked: Sequence[Case], given: Sequence[Answer]) -> list[Figure]:
    """The table."""
    pairs = list(zip(asked, given, strict=True))

    def share(
        name: str, chosen: Callable[[Case], bool], good: Callable[[Case, Answer], bool]
    ) -> Figure:
        kept = [(case, answer) for case, answer in pairs if chosen(case)]
        hits = sum(good(case, answer) for case, answer in kept)
        return Figure(name, hits / len(kept) if kept else 0.0, len(kept))

    def is_group(case: Case) -> bool:
        return "The people here:" in case.dialogue.system

    return [
        share("card_fact_recall", lambda c: c.kind.startswith("card:") and not is_group(c), right),
        share("told_fact_recall_after_8_turns", lambda c: c.kind.startswith("told:"), right),
        share("wrong_speaker_or_no_end", lambda _: True, speaks_for_others),
        share("group_answers_as_named", is_group, as_named),
        share("group_card_fact_recall", is_group, right),
        share("graceful_out_of_domain", lambda c: c.kind in ("ood", "oodmath"), graceful),
    ]


def evaluate(folder: Path, count: int, size: Size, threads: int = 1) -> list[Figure]:
    """Ask, answer, score. Raises the engine's `CheckpointError` for a folder it cannot serve."""
    asked = cases(count, size)
    return figures(asked, asyncio.run(answers(folder, asked, threads)))
