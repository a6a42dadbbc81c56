"""What a prompt costs, turn after turn, and how much of it the engine has seen: beside prompt-poet.

    python -m bench.prompt

Processor time of this process, Troupe and prompt-poet in turns over the same chats, templates and
tokenizer (`bench/prompt_chats.py` says which). prompt-poet is given its cached template. Both build
prompts of all messages, nothing cut; a turn is two new messages (an answer and the next question),
and ends with the whole list of token ids in hand. `flatness` is the cost of Troupe's turn alone,
with what a client needs that sends a prefix's hash and what is behind it: the new ids and hashes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.common import report
from bench.prompt_chats import (
    BEFORE,
    BEHIND,
    LAYOUT,
    LIMIT,
    PLAIN,
    Chat,
    chats,
    encoding,
    poet,
    template,
)  # fmt: skip
from bench.prompt_reuse import Point, best, of_unchanged, ours, point, theirs

from troupe.prompt import (
    BLOCK,
    CallableTokenizer,
    ChatFormat,
    CompiledPrompt,
    Conversation,
    HuggingFaceTokenizer,
    TiktokenTokenizer,
    Tokenizer,
    Truncation,
)  # fmt: skip

SIZES = (20, 200, 2000)
NO_LIMIT = 10**7
TURNS = 20  # in a row, of one chat
ROUNDS = 5
CPU_CHATS = 6
REUSE_CHATS = 3  # `keep` is chosen on the first, and judged on the others
LONG_ENOUGH = 0.88  # mean length over the limit; a point above what is asked of the others
KEEPS = (0.95, 0.9, 0.85, 0.8, 0.78, 0.75, 0.7, 0.6, 0.5)
CUTS = (300, 500, 800, 1200, 1700)  # prompt-poet's truncation_step
WEIGHTS = (0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0)
SHIPPED = Path(__file__).parent.parent / "src/troupe/models/troupe-small/tokenizer.json"
PARSED = template(PLAIN)
Rows = list[tuple[str, float, str]]


class Timed:
    """Microseconds of processor time of what is run: for each chat the least of its rounds, since
    whatever else the machine does only adds."""

    def __init__(self) -> None:
        self.taken: dict[int, float] = {}

    def run(self, chat: int, call: Callable[[], object], times: int = 1) -> None:
        started = time.process_time()
        for _ in range(times):
            call()
        took = (time.process_time() - started) * 1e6 / times
        self.taken[chat] = min(took, self.taken.get(chat, took))

    @property
    def middle(self) -> float:
        return median(self.taken.values())


class Ours:
    """A chat of Troupe's, built from nothing by a tokenizer of which nothing is known yet."""

    def __init__(self, chat: Chat, size: int, tokenizer: Tokenizer, limit: int) -> None:
        self.chat, self.size, self.limit = chat, size, limit
        self.conversation = Conversation(PARSED, tokenizer, ChatFormat.TOKENS, LAYOUT)
        self.conversation.extend(chat.messages[:size])
        self.prompt = self.conversation.compile(chat.data(size), limit)
        self.ids = self.prompt.token_ids

    def turn(self) -> CompiledPrompt:
        """Two messages more. Gives the prompt before."""
        self.conversation.extend(self.chat.messages[self.size : self.size + 2])
        self.size += 2
        before, data = self.prompt, self.chat.data(self.size)
        self.prompt = self.conversation.compile(data, self.limit, before.anchor)
        return before

    def whole_turn(self) -> None:
        """A turn, with the whole list of ids."""
        self.turn()
        self.ids = self.prompt.token_ids

    def new_turn(self) -> None:
        """A turn, with the ids and hashes that are new in it."""
        before = self.turn()
        shared = self.prompt.shares(before)
        self.new = self.prompt.ids_from(shared), self.prompt.hashes_from(shared // BLOCK)


def processor_time(
    source: Path, size: int, given: Sequence[Chat], make: Callable[[], Tokenizer]
) -> dict[str, float]:
    """Microseconds by what was done, at one size."""
    encode = make().encode
    times = {what: Timed() for what in ("cold", "turn", "new", "limited", "poet_cold", "poet_turn")}

    def theirs_at(chat: Chat, size: int) -> list[int]:
        return poet(source, chat, size, encode, token_limit=NO_LIMIT, truncation_step=1000).tokens

    for _ in range(ROUNDS):
        for n, chat in enumerate(given):
            made: list[Ours] = []
            times["poet_cold"].run(n, partial(theirs_at, chat, size))
            times["cold"].run(
                n, lambda made=made, chat=chat: made.append(Ours(chat, size, make(), NO_LIMIT))
            )
            times["turn"].run(n, made[0].whole_turn, TURNS)
            times["poet_turn"].run(n, partial(theirs_at, chat, size + 2))
            assert made[0].ids == theirs_at(chat, made[0].size), "the two differ in their tokens"
            fresh = Ours(chat, size, make(), NO_LIMIT)
            fresh.prompt.hashes_from(0)
            times["new"].run(n, fresh.new_turn, TURNS)
            times["limited"].run(n, Ours(chat, size, make(), LIMIT).whole_turn, TURNS)
    return {what: timed.middle for what, timed in times.items()}


def reuse_curves(
    source: Path, given: Sequence[Chat], tokenizer: Tokenizer
) -> dict[str, list[Point]]:
    """Mean length and reuse in plain chats, a turn a message: by rule, and the best there is."""
    encode = tokenizer.encode

    def at(keep: float, step: int = 1) -> Point:
        return point(ours(chat, PLAIN, tokenizer, Truncation(keep=keep), step) for chat in given)

    def at_best(weight: float, step: int = 1) -> Point:
        turns = [turn for chat in given for turn in best(chat, PLAIN, tokenizer, weight, step)]
        return fmean(length for length, _ in turns), fmean(reuse for _, reuse in turns)

    return {
        "Troupe": [at(keep) for keep in KEEPS],
        "Troupe, two messages a turn": [at(keep, 2) for keep in KEEPS],
        "prompt-poet": [point(theirs(chat, source, encode, cut) for chat in given) for cut in CUTS],
        "best": [at_best(weight) for weight in WEIGHTS],
        "best, two messages a turn": [at_best(weight, 2) for weight in WEIGHTS],
    }


def chosen_keep(given: Sequence[Chat], tokenizer: Tokenizer) -> float:
    """The `keep` of the most reuse among those of which prompts are long enough."""
    found = [
        (point(ours(chat, PLAIN, tokenizer, Truncation(keep=keep)) for chat in given), keep)
        for keep in KEEPS
    ]
    return max((reuse, keep) for (length, reuse), keep in found if length >= LONG_ENOUGH)[1]


def disturbed(folder: Path, given: Sequence[Chat], tokenizer: Tokenizer) -> dict[str, float]:
    """Reuse of the tokens of unchanged parts, with all that disturbs at once."""
    rule = Truncation(reserve=1250, waits=("memory",))  # the card, a memory, a text, the time
    encode = tokenizer.encode
    files = {"before": folder / "before.yml.j2", "behind": folder / "behind.yml.j2"}
    files["before"].write_text(BEFORE)
    files["behind"].write_text(BEHIND)

    def mine(kept: bool) -> float:
        return of_unchanged(
            ours(chat, BEHIND, tokenizer, rule, disturbed=True, kept=kept) for chat in given
        )

    def poets(where: str) -> float:
        return of_unchanged(
            theirs(chat, files[where], encode, 800, disturbed=True) for chat in given
        )

    return {
        "Troupe": mine(kept=True),
        "Troupe, a caller that keeps the anchor alone": mine(kept=False),
        "prompt-poet, what changes before the history": poets("before"),
        "prompt-poet, what changes behind the history": poets("behind"),
    }


def between(curve: Sequence[Point], length: float) -> float:
    """The reuse of a curve at a mean length, on the line between its points."""
    points = sorted(curve)
    for (a, low), (b, high) in pairwise(points):
        if a <= length <= b:
            return low + (high - low) * (length - a) / (b - a)
    return points[0][1] if length < points[0][0] else points[-1][1]


def main() -> None:
    trained = encoding()
    tokenizer = TiktokenTokenizer(trained)
    given = chats(CPU_CHATS, max(SIZES) + 2 * TURNS + 2, trained.encode_ordinary)
    rows: Rows = []
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "plain.yml.j2"
        source.write_text(PLAIN)
        warm_up = partial(processor_time, source, 20, given[:1])
        warm_up(lambda: TiktokenTokenizer(trained))
        times = {
            size: processor_time(source, size, given, lambda: TiktokenTokenizer(trained))
            for size in SIZES
        }
        own = HuggingFaceTokenizer(SHIPPED.read_bytes())
        for chat in given:  # it knows the words, as that of a process that has run for a while
            for message in chat.messages[: 200 + 3 * TURNS]:
                own.encode(f"{message.name}: {message.text}")
        shipped = processor_time(source, 200, given, lambda: CallableTokenizer(own.encode))
        some = given[REUSE_CHATS:]  # not those that `keep` is chosen on
        chosen = chosen_keep(given[:REUSE_CHATS], tokenizer)
        curves = reuse_curves(source, some, tokenizer)
        shares = disturbed(Path(name), some, tokenizer)
    here = KEEPS.index(Truncation().keep)
    fill, reuse = curves["Troupe"][here]
    figures = {
        "turn_cpu_ratio_200": times[200]["poet_turn"] / times[200]["turn"],
        "turn_flatness": times[2000]["new"] / times[20]["new"],
        "cold_cpu_ratio_200": times[200]["poet_cold"] / times[200]["cold"],
        "reuse_plain": reuse,
        "reuse_disturbed": shares["Troupe"],
        "fill": fill,
    }
    for size, at in times.items():
        rows += cpu_rows(f"{size} messages", at)
    rows += cpu_rows("200 messages, the shipped model's tokenizer", shipped)
    for what, curve in curves.items():
        rows += [(f"reuse at {length:.1%} of the limit, {what}", r, "") for length, r in curve]
    two = curves["Troupe, two messages a turn"][here]
    rows += [
        ("best reuse at Troupe's length", between(curves["best"], fill), ""),
        (f"`keep` chosen on {REUSE_CHATS} other chats", chosen, ""),
        ("two messages a turn, by Troupe's rule: mean length over the limit", two[0], ""),
        ("two messages a turn, by Troupe's rule: reuse", two[1], ""),
        (
            "two messages a turn, best reuse at that length",
            between(curves["best, two messages a turn"], two[0]),
            "",
        ),
    ]
    rows += [
        (
            f"Troupe's reuse less prompt-poet's at {length:.1%}",
            between(curves["Troupe"], length) - r,
            "",
        )
        for length, r in curves["prompt-poet"]
    ]
    rows += [(f"reuse, disturbed, {what}", share, "") for what, share in shares.items()]
    rows += [(what, value, "") for what, value in figures.items()]
    report(
        "prompt",
        figures,
        rows,
        ("jinja2", "prompt-poet", "tiktoken", "tokenizers"),
        lambda figure: draw(figure, curves, (fill, reuse)),
        {
            "command": "python -m bench.prompt",
            "microseconds": {str(size): at for size, at in times.items()},
            "microseconds_200_shipped_tokenizer": shipped,
            "keep_chosen_on_other_chats": chosen,
            "reuse_by_length": curves,
            "reuse_disturbed": shares,
            "load_of_the_machine": os.getloadavg()[0],
        },
    )


def cpu_rows(label: str, at: dict[str, float]) -> Rows:
    """What one size cost."""
    return [
        (f"{label}: first build, Troupe", at["cold"], "us"),
        (f"{label}: first build, prompt-poet", at["poet_cold"], "us"),
        (f"{label}: turn, Troupe, all ids as a list", at["turn"], "us"),
        (f"{label}: turn, prompt-poet", at["poet_turn"], "us"),
        (f"{label}: turn, Troupe, new ids and hashes", at["new"], "us"),
        (f"{label}: turn, Troupe, cut at {LIMIT}, ids as a list", at["limited"], "us"),
    ]


def draw(figure: Figure, curves: dict[str, list[Point]], here: Point) -> None:
    """Reuse against length."""
    axes = figure.subplots()
    styles = {
        "best": "k--",
        "prompt-poet": "s-",
        "Troupe": "o-",
        "Troupe, two messages a turn": "o:",
        "best, two messages a turn": "k:",
    }
    for what, curve in curves.items():
        lengths, reuse = zip(*sorted(curve), strict=True)
        axes.plot(lengths, reuse, styles[what], label=what, markersize=4)
    axes.plot(*here, "o", markersize=11, fillstyle="none", color="#D9482B", label="Troupe's rule")
    axes.set_xlabel(f"mean prompt length over the limit of {LIMIT} tokens")
    axes.set_ylabel("shared prefix over prompt length")
    axes.set_title("Plain chats of 150 to 400 messages")
    axes.legend()


if __name__ == "__main__":
    main()
