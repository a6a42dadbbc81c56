"""The consumer-chat replay: waits of those who come back, what a small cache keeps, what is sent.

Two runs. In the first every server gets the same users, who pause as people do (compressed); it
gives the wait for the first token of a chat that was there before. In the second Troupe alone runs
the whole replay without pauses, its memory for keys and values far smaller than the working set; it
gives the share of tokens that an unlimited cache reuses and this one did. Called by
`engine_http.py`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import Any

from bench.common import report
from bench.engine_client import whole_bytes
from bench.engine_ideal import Unlimited
from bench.engine_loads import Load, Visit, consumer
from bench.engine_peers import Peers, started
from bench.engine_run import Done, Replay, Slice
from bench.engine_servers import Server
from bench.engine_shown import ideal_share, percentile, summary
from matplotlib.figure import Figure

USERS = 16
LIMIT = 4096  # tokens that a chat's prompt and answer may have: 180 messages are cut to it
FEWER, EACH = 8, 120  # users of the second run, and visits of each


def waits(servers: Sequence[Server], seconds: float, rounds: int) -> dict[str, list[Slice]]:
    """The first run: slices of the same visits, one server after another."""
    load = consumer(1, USERS, 400, LIMIT)
    replays = [Replay(server, load) for server in servers]
    slices: dict[str, list[Slice]] = {server.name: [] for server in servers}
    left = list(load.visits)
    for replay in replays:  # everybody's first visit runs a long history: not a return
        replay.run(left[:USERS], USERS)
    left = left[USERS:]
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
    servers = peers.servers("small", USERS)
    with started(servers):
        slices = waits(servers, 5 if quick else 12, 1 if quick else 3)
    shown = summary("consumer", USERS, servers, slices, {})
    load = consumer(2, FEWER, EACH // 4 if quick else EACH, LIMIT)
    tokens = working_set(load)
    quarter = peers.troupe("small", FEWER, kv_tokens=tokens // 4)
    with started([quarter]):
        ran = Replay(quarter, load).run(load.visits, FEWER)
    cached, ideal = shares(ran.done)
    waited = {name: returning_p99(parts) for name, parts in slices.items()}
    sent = wire([one for part in slices["troupe"] for one in part.done])
    figures = {"hit_consumer": cached / ideal, "wire_share": sent}
    if "llama" in waited:
        figures["ttft_p99_ratio_returning"] = waited["llama"] / waited["troupe"]
    if "vllm" in waited:
        figures["ttft_p99_ratio_returning_vllm"] = waited["vllm"] / waited["troupe"]
    found = {
        "replay: share of prompt tokens from cache": cached,
        "replay: share that an unlimited cache reuses": ideal,
        "replay: visits": float(len(ran.done)),
        "replay: working set, tokens": float(tokens),
        "replay: mean prompt, tokens": sum(len(one.prompt) for one in ran.done) / len(ran.done),
    }
    rows = [*shown.rows, *((name, value, "") for name, value in (found | figures).items())]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, parts in slices.items():
            ordered = sorted(one.first_ms for part in parts for one in part.done if one.returning)
            share = [(i + 1) / len(ordered) for i in range(len(ordered))]
            axes.plot(ordered, share, label=name)
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


def returning_p99(parts: Sequence[Slice]) -> float:
    """Milliseconds to the first token of chats that were there before, p99."""
    return percentile([one.first_ms for part in parts for one in part.done if one.returning], 0.99)
