"""The consumer-chat replay: waits of those who come back, what a small cache keeps, what is sent.

Two runs. In the first every server gets the same users, who pause as people do (compressed); it
gives the wait for the first token of a chat that was there before. In the second Troupe alone runs
the whole replay without pauses, its memory for keys and values what its users need at a time, and a
host tier of a quarter of the working set; it gives the share of the tokens that an unlimited cache
reuses and this one did. Called by `engine_http.py`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

from bench.common import report
from bench.engine_client import whole_bytes
from bench.engine_ideal import Unlimited
from bench.engine_loads import Ids, Load, Visit, consumer
from bench.engine_models import POSITIONS
from bench.engine_peers import Peers, started
from bench.engine_run import Done, Replay, Slice
from bench.engine_servers import Server
from bench.engine_shown import ideal_share, percentile, summary
from matplotlib.figure import Figure

USERS = 16
LIMIT = POSITIONS  # tokens of a prompt and its answer; 180 messages have as many
FEWER, EACH, OLD = 8, 120, 4  # users of the second run, visits of each, chats from before


def waits(servers: Sequence[Server], seconds: float, rounds: int) -> dict[str, list[Slice]]:
    """The first run: slices of the same visits, one server after another."""
    load = consumer(1, USERS, 400, LIMIT)
    replays = [Replay(server, load) for server in servers]
    slices: dict[str, list[Slice]] = {server.name: [] for server in servers}
    left = list(load.visits)
    for replay in replays:
        replay.read_histories(USERS)
    for _ in range(rounds):
        begun: list[Visit] | None = None
        for replay in replays:
            if begun is None:
                ran = replay.run_paced(left, seconds)
                begun = [one.visit for one in ran.done]
            else:
                ran = replay.run_paced(begun)
            slices[replay.server.name].append(ran)
        assert begun is not None
        gone = {id(visit) for visit in begun}
        left = [visit for visit in left if id(visit) not in gone]
    return slices


def seen_before(done: Sequence[Done]) -> list[float]:
    """Milliseconds to the first token of those that came back and whose history was not cut on
    this visit: most of the prompt was run before."""
    asked: dict[int, Ids] = {}
    found = []
    for one in done:
        head = asked.get(one.visit.chat, ())[: len(one.prompt) // 2]
        if one.returning and head and one.prompt[: len(head)] == head:
            found.append(one.first_ms)
        asked[one.visit.chat] = one.prompt
    return found


def working_set(load: Load) -> int:
    """Distinct tokens of all the replay, with random answers of the lengths asked for."""
    rng, cache, chats = random.Random(1), Unlimited(), load.chats()
    for visit in load.visits:
        prompt = chats[visit.chat].prompt(visit)
        answer = tuple(rng.choices(range(264, 4096), k=visit.answer))
        chats[visit.chat].answered(answer)
        cache.keep([*prompt, *answer[:-1]])
    return cache.tokens


def shares(done: Sequence[Done]) -> tuple[float, float]:
    """Of all prompt tokens, those from cache, and those that an unlimited cache would give."""
    asked = sum(len(one.prompt) for one in done)
    return sum(one.answer.cached for one in done) / asked, ideal_share(done)


def wire(done: Sequence[Done]) -> float:
    """Bytes sent for the visits that came back, over those of sending each prompt whole."""
    back = [one for one in done if one.returning]
    return sum(one.answer.sent for one in back) / sum(whole_bytes(one.prompt) for one in back)


def run(peers: Peers, quick: bool) -> None:
    """Both runs; writes the part `consumer` of bench/results/engine.json."""
    peers_of = [*peers.passing("small", USERS), *peers.lasting("small")]
    servers = [*peers_of, peers.troupe("small", USERS)]
    with started(servers):
        slices = waits(servers, 5 if quick else 12, 1 if quick else 3)
    shown = summary("consumer", USERS, servers, slices, {})
    load = consumer(2, FEWER, EACH // 4 if quick else EACH, LIMIT, OLD)
    tokens = working_set(load)
    quarter = peers.small_memory("small", FEWER, FEWER * LIMIT, tokens // 4)
    with started([quarter]):
        ran = Replay(quarter, load).run(load.visits, FEWER)
    cached, ideal = shares(ran.done)
    done = {name: [one for part in parts for one in part.done] for name, parts in slices.items()}
    back = {n: [one.first_ms for one in all_of if one.returning] for n, all_of in done.items()}
    uncut = {name: seen_before(all_of) for name, all_of in done.items()}
    figures = {"hit_consumer": cached / ideal, "wire_share": wire(done["troupe"])}
    for peer in done.keys() - {"troupe"}:
        suffix = "" if peer == "llama" else f"_{peer}"
        for kind, waited in (("returning", back), ("uncut", uncut)):
            figures[f"ttft_p99_ratio_{kind}{suffix}"] = percentile(waited[peer], 0.99) / percentile(
                waited["troupe"], 0.99
            )
    found = {
        "replay: share of prompt tokens from cache": cached,
        "replay: share that an unlimited cache reuses": ideal,
        "replay: visits": float(len(ran.done)),
        "replay: working set, tokens": float(tokens),
        "replay: mean prompt, tokens": sum(len(one.prompt) for one in ran.done) / len(ran.done),
    }
    found |= {f"uncut, first token p99: {n}": percentile(v, 0.99) for n, v in uncut.items()}
    rows = [*shown.rows, *((name, value, "") for name, value in (found | figures).items())]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, values in back.items():
            share = [(i + 1) / len(values) for i in range(len(values))]
            axes.plot(sorted(values), share, label=name)
        axes.set(xlabel="ms to the first token, chats that come back", ylabel="share of visits")
        axes.set(xscale="log")
        axes.legend()

    details: dict[str, Any] = {
        "command": "python -m bench.engine_http --only consumer" + " --quick" * quick,
        "load_of_the_machine": round(os.getloadavg()[0], 2),
        "waits": shown.details,
        "replay": {"command": quarter.shown, **{k: round(v, 4) for k, v in found.items()}},
    }
    report("engine", figures, rows, ("numpy",), draw, details, part="consumer")
