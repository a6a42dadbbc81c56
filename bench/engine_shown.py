"""What the runs of the engine's HTTP benchmark amount to: rates, waits, shares from cache.

Called by `engine_http.py` and `engine_consumer.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.engine_client import ask
from bench.engine_ideal import Unlimited
from bench.engine_run import Done, Slice
from bench.engine_servers import ROOT, Server
from matplotlib.figure import Figure

from troupe.train.corpus import Size, Split, dialogue
from troupe.train.data import encode_prompt
from troupe.train.tokenizer import END, EOS, TextTokenizer

TALKS = 12  # held-out conversations, each cut at ten places
ENDS = (EOS, END)

Row = tuple[str, float, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """One load on all servers."""

    users: int
    rates: Mapping[str, float]  # output tokens a second
    cached: Mapping[str, float]  # share of prompt tokens that were not run
    ideal: float  # the same, for a cache without end, over Troupe's requests
    rows: Sequence[Row]
    details: Mapping[str, Any]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are at or below; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def ideal_share(done: Sequence[Done]) -> float:
    """What a cache without end would have reused of these requests, in their order."""
    cache, reused, asked = Unlimited(), 0, 0
    ended: list[Done] = []
    for one in sorted(done, key=lambda one: one.answer.began):
        still = [late for late in ended if late.answer.ended > one.answer.began]
        for early in ended:
            if early.answer.ended <= one.answer.began:
                cache.keep([*early.prompt, *early.answer.tokens[:-1]])
        ended = [*still, one]
        reused += cache.run(one.prompt)
        asked += len(one.prompt)
    return reused / asked if asked else 0.0


def summary(
    model: str,
    users: int,
    servers: Sequence[Server],
    slices: Mapping[str, Sequence[Slice]],
    agrees: Mapping[str, float],
) -> Shown:
    """Rates over all slices together."""
    rates: dict[str, float] = {}
    cached: dict[str, float] = {}
    rows: list[Row] = []
    details: dict[str, Any] = {}
    for server in servers:
        ran = slices[server.name]
        done = [one for part in ran for one in part.done]
        found = _of_server(ran, done)
        rates[server.name], cached[server.name] = found["tokens_s"], found["cached_share"]
        rows += [(f"{model}, {users} users: {server.name}, {k}", v, "") for k, v in found.items()]
        details[server.name] = {
            "command": server.shown,
            "version": server.version,
            **{key: round(value, 4) for key, value in found.items()},
            "slices_tokens_s": [round(part.tokens / part.seconds, 1) for part in ran],
        }
    ours = [one for part in slices["troupe"] for one in part.done]
    ideal = ideal_share(ours)
    rows += [(f"{model}, {users} users: next token as Troupe's", v, k) for k, v in agrees.items()]
    whole = {"model": model, "users": users, "servers": details, "ideal_cached_share": ideal}
    return Shown(users, rates, cached, ideal, rows, {**whole, "agreement": dict(agrees)})


def _of_server(ran: Sequence[Slice], done: Sequence[Done]) -> dict[str, float]:
    seconds = sum(part.seconds for part in ran)
    cpu = sum(part.server_cpu for part in ran)
    tokens = sum(part.tokens for part in ran)
    asked = sum(len(one.prompt) for one in done)
    every = [one.first_ms for one in done]
    back = [one.first_ms for one in done if one.returning]
    return {
        "tokens_s": tokens / seconds,
        "tokens_a_cpu_second": tokens / cpu,
        "first_token_ms_p50": percentile(every, 0.5),
        "first_token_ms_p99": percentile(every, 0.99),
        "returning_first_token_ms_p50": percentile(back, 0.5),
        "returning_first_token_ms_p99": percentile(back, 0.99),
        "cached_share": sum(one.answer.cached for one in done) / asked,
        "server_cores": cpu / seconds,
        "client_cores": sum(part.client_cpu for part in ran) / seconds,
        "visits": float(len(done)),
        "mean_prompt_tokens": asked / len(done),
    }


def agreement(servers: Sequence[Server]) -> dict[str, float]:
    """Share of held-out prompts whose likeliest next token is Troupe's, for each peer. Where the
    likeliest ends the answer, llama.cpp was told not to take it; those are left out."""
    config = ROOT / "src/troupe/models/troupe-small"
    tokenizer = TextTokenizer.load(config)
    prompts: list[list[int]] = []
    for index in range(TALKS):
        talk = dialogue(4242, index, Split.HELD_OUT, Size(9, 1600))
        last = len(talk.messages) - 1
        ids = encode_prompt(tokenizer, talk, last, talk.messages[last].name)
        prompts += [ids[: len(ids) - cut] for cut in range(0, 100, 10)]

    async def next_tokens(server: Server) -> list[int]:
        answers = [await ask(server.port, server.dialect, ids, 1) for ids in prompts]
        return [answer.tokens[0] for answer in answers]

    given = {server.name: asyncio.run(next_tokens(server)) for server in servers}
    judged = [i for i, token in enumerate(given["troupe"]) if token not in ENDS]
    return {
        name: sum(given["troupe"][i] == theirs[i] for i in judged) / len(judged)
        for name, theirs in given.items()
        if name != "troupe"
    }


def draw_rates(figure: Figure, model: str, shown: Sequence[Shown]) -> None:
    """Output tokens a second by users at a time."""
    axes = figure.subplots()
    for name in shown[0].rates:
        users = [one.users for one in shown]
        axes.plot(users, [one.rates[name] for one in shown], "o-", label=name)
    axes.set(xlabel="users at a time", ylabel="output tokens a second", title=model)
    axes.set(xscale="log", yscale="log")
    axes.legend()
