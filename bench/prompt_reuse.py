"""How much of a prompt's beginning is the one before's: for Troupe, for prompt-poet, and at best.

Called by `bench/prompt.py`. A turn is a message; the turns counted are those from 150 to 400
messages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.prompt_chats import LAYOUT, LIMIT, WINDOW, Chat, copied, poet, template

from troupe.prompt import ChatFormat, Conversation, Tokenizer, Truncation
from troupe.prompt.hashes import common_prefix

FIRST, LAST = 150, 400
Turn = tuple[list[int], list[tuple[str, int]]]  # a prompt's tokens, and its parts with their sizes
Point = tuple[float, float]  # mean length over the limit, mean reuse


def ours(
    chat: Chat,
    source: str,
    tokenizer: Tokenizer,
    rule: Truncation,
    step: int = 1,
    disturbed: bool = False,
    kept: bool = True,
) -> list[Turn]:
    """Troupe's prompts, a turn every `step` messages. `kept` is false for a caller that keeps
    nothing between turns but the anchor and what is held."""
    parsed = template(source)
    conversation = Conversation(parsed, tokenizer, ChatFormat.TOKENS, LAYOUT, rule)
    anchor, held, turns = None, None, []
    for upto in range(step, LAST + 1, step):
        first = max(0, upto - WINDOW) if disturbed else 0
        messages = [copied(m) for m in chat.messages[first:upto]]
        if not kept:
            conversation = Conversation(parsed, tokenizer, ChatFormat.TOKENS, LAYOUT, rule)
        conversation.follow(messages)
        data = chat.data(upto, disturbed)
        prompt = conversation.compile(data, LIMIT, anchor, held, whole=kept or first == 0)
        anchor, held = prompt.anchor, prompt.held
        if upto >= FIRST:
            assert prompt.token_ids is not None
            parts = [(part.content, len(tokenizer.encode(part.content))) for part in prompt.parts]
            turns.append((prompt.token_ids, parts))
    return turns


def theirs(
    chat: Chat,
    source: Path,
    encode: Callable[[str], list[int]],
    cut: int,
    step: int = 1,
    disturbed: bool = False,
) -> list[Turn]:
    """prompt-poet's prompts, with `cut` as its `truncation_step`."""
    turns = []
    for upto in range(FIRST, LAST + 1, step):
        prompt = poet(
            source, chat, upto, encode, token_limit=LIMIT, truncation_step=cut,
            disturbed=disturbed, window=WINDOW if disturbed else None,
        )  # fmt: skip
        turns.append((prompt.tokens, [(part.content, len(part.tokens)) for part in prompt.parts]))
    return turns


def point(runs: Iterable[Sequence[Turn]]) -> Point:
    """Mean length over the limit, and the shared prefix over a prompt's length, mean over turns."""
    lengths, shares = [], []
    for turns in runs:
        for (before, _), (now, _) in pairwise(turns):
            lengths.append(len(now) / LIMIT)
            shares.append(common_prefix(before, now) / len(now))
    return fmean(lengths), fmean(shares)


def of_unchanged(runs: Iterable[Sequence[Turn]]) -> float:
    """The shared prefix over the tokens of those parts that the prompt before had too."""
    shares = []
    for turns in runs:
        for (before, old), (now, new) in pairwise(turns):
            there = Counter(text for text, _ in old)
            same = 0
            for text, size in new:
                if there[text] > 0:
                    there[text] -= 1
                    same += size
            shares.append(min(1.0, common_prefix(before, now) / max(1, same)))
    return fmean(shares)


def best(
    chat: Chat, source: str, tokenizer: Tokenizer, weight: float, step: int = 1
) -> list[Point]:
    """(Length over the limit, reuse) of each turn under the best of all rules that keep the newest
    messages from some message on, chosen with the whole chat known: the one with the greatest sum
    of reuse and `weight` times length. By dynamic programming over turns and boundaries; a boundary
    may move anywhere forwards."""
    encode = tokenizer.encode
    around = template(source).render(chat.data(0), [])
    head, tail = (encode(part.content) for part in (around[0], around[-1]))
    lines = [encode(f"{m.name}: {m.text}") for m in chat.messages]
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line))
    fixed = len(head) + len(tail)

    def length(turn: int, start: int) -> int:
        return fixed + ends[turn] - ends[start]

    best_of: dict[int, tuple[float, Any]] = {}
    for turn in range(FIRST, LAST + 1, step):
        more = common_prefix(tail, [*lines[turn - step], *tail])
        now: dict[int, tuple[float, Any]] = {}
        moved: tuple[float, Any] | None = None  # the best of the boundaries before this one
        for start in range(turn):
            size = length(turn, start)
            before = best_of.get(start)
            if size <= LIMIT:
                value = weight * size / LIMIT
                choices = [] if best_of else [(value, (None, size / LIMIT, 0.0))]
                if before is not None:
                    kept = (len(head) + ends[turn - step] - ends[start] + more) / size
                    choices.append((before[0] + value + kept, (before[1], size / LIMIT, kept)))
                if moved is not None:
                    lost = len(head) / size
                    choices.append((moved[0] + value + lost, (moved[1], size / LIMIT, lost)))
                if choices:
                    now[start] = max(choices, key=lambda choice: choice[0])
            if before is not None and (moved is None or before[0] > moved[0]):
                moved = before
        best_of = now
    node = max(best_of.values(), key=lambda choice: choice[0])[1]
    path = []
    while node[0] is not None:
        path.append((node[1], node[2]))
        node = node[0]
    return path
