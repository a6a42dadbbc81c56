"""What the engine's benchmark asks for: conversations of token ids, made from a seed.

`multi_turn` has the format of vLLM's multi-turn benchmark: 12 to 18 turns, a prefix of 500 tokens
that all share, 120 to 160 tokens in, 80 to 120 out. `consumer` is a replay of consumer chat:
characters by a Zipf law, histories of 180 messages, cut to the context by the prompt compiler's
rule, bursts of turns with long pauses (compressed) between them, swipes and edits. Token ids are
random words of the vocabulary: speed does not depend on what is said. Pure. Called by
`engine_http.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from troupe.prompt.truncate import Truncation, first_kept

VOCABULARY = range(264, 4096)  # the shipped tokenizer's words, behind special tokens and bytes
BOS = 2
NEW = 0.2  # of the bursts
SWIPES, EDITS = 0.10, 0.05  # of the visits that come back to a chat
CUT = Truncation()

Kind = Literal["turn", "swipe", "edit"]
Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: what a user does in a chat, and how many tokens are made for it."""

    chat: int
    kind: Kind
    said: Ids  # empty for a swipe
    answer: int
    user: int = 0
    pause: float = 0.0  # seconds the user waits before it


@dataclass(slots=True)
class Chat:
    """A conversation as one server has it: what stands before it, and its messages."""

    head: Ids
    limit: int  # tokens of prompt and answer
    messages: list[Ids] = field(default_factory=list)
    start: int = 0  # the first message that is kept
    visits: int = 0

    def prompt(self, visit: Visit) -> list[int]:
        """Carry out the visit up to its answer, and give the prompt for that."""
        self.visits += 1
        if visit.kind != "turn" and len(self.messages) >= 2:
            self.messages.pop()  # the last answer
            if visit.kind == "edit":
                self.messages.pop()
        if visit.said:
            self.messages.append(visit.said)
        before = [0]
        for message in self.messages:
            before.append(before[-1] + len(message))
        budget = self.limit - len(self.head) - visit.answer
        self.start = first_kept(before, before[-1], budget, self.start, CUT)
        return [*self.head, *(token for said in self.messages[self.start :] for token in said)]

    def answered(self, tokens: Ids) -> None:
        self.messages.append(tokens)


@dataclass(frozen=True, slots=True)
class Load:
    """Chats and the visits to them, in order."""

    heads: Sequence[Ids]  # of each chat
    before: Sequence[tuple[Ids, ...]]  # messages of each chat before the first visit
    visits: Sequence[Visit]
    limit: int

    def chats(self) -> list[Chat]:
        """A fresh copy of all chats, for one server."""
        made = zip(self.heads, self.before, strict=True)
        return [Chat(head, self.limit, list(messages)) for head, messages in made]


def multi_turn(seed: int, sessions: int, limit: int) -> Load:
    """Rounds over all sessions, each round in an order of its own; a session that has had its
    turns is followed by a new one."""
    rng = random.Random(seed)
    prefix = (BOS, *_words(rng, 499))
    heads: list[Ids] = []
    visits: list[Visit] = []
    open_sessions: list[tuple[int, int]] = []  # chat, turns left
    for _ in range(40):
        while len(open_sessions) < sessions:
            open_sessions.append((len(heads), rng.randint(12, 18)))
            heads.append(prefix)
        rng.shuffle(open_sessions)
        for chat, _left in open_sessions:
            said = _words(rng, rng.randint(120, 160))
            visits.append(Visit(chat, "turn", said, rng.randint(80, 120)))
        open_sessions = [(chat, left - 1) for chat, left in open_sessions if left > 1]
    return Load(heads, [()] * len(heads), visits, limit)


def consumer(
    seed: int, users: int, each: int, limit: int, old: int = 2, messages: int = 180
) -> Load:
    """`each` visits of each user, who has `old` chats of about so many `messages` from before. A
    user talks in bursts of twelve turns or so, then pauses and goes to another chat: a new one, or
    back to one of theirs, the later the likelier. Characters are drawn by Zipf's law."""
    rng = random.Random(seed)
    site = (BOS, *_words(rng, 60))
    cards = [_words(rng, rng.randint(150, 500)) for _ in range(200)]
    weights = [1 / (rank + 1) for rank in range(len(cards))]
    heads: list[Ids] = []
    before: list[tuple[Ids, ...]] = []

    def new_chat(history: int) -> int:
        heads.append(site + rng.choices(cards, weights)[0])
        before.append(tuple(_words(rng, _length(rng)) for _ in range(history)))
        return len(heads) - 1

    def plan(user: int) -> Iterator[Visit]:
        own = [new_chat(round(messages * rng.uniform(0.6, 1.4))) for _ in range(old)]
        while True:
            if rng.random() < NEW:
                own.append(new_chat(0))
                chat = own[-1]
            else:
                chat = own[-min(len(own), 1 + int(rng.expovariate(0.5)))]
            pause = rng.uniform(2, 4)
            for turn in range(1 + int(rng.expovariate(1 / 12))):
                yield _visit(rng, chat, turn, user, pause)
                pause = rng.uniform(0.2, 1.0)

    plans = [plan(user) for user in range(users)]
    visits = [next(plans[i % users]) for i in range(users * each)]
    return Load(heads, before, visits, limit)


def _visit(rng: random.Random, chat: int, turn: int, user: int, pause: float) -> Visit:
    kind: Kind = "turn"
    if turn and (drawn := rng.random()) < SWIPES + EDITS:
        kind = "swipe" if drawn < SWIPES else "edit"
    said = () if kind == "swipe" else _words(rng, _length(rng))
    return Visit(chat, kind, said, max(12, min(160, _length(rng))), user, pause)


def _length(rng: random.Random) -> int:
    """Tokens of a message: 40 in the median, log-normal."""
    return max(4, min(300, round(rng.lognormvariate(3.7, 0.6))))


def _words(rng: random.Random, count: int) -> Ids:
    return tuple(rng.choices(VOCABULARY, k=count))
