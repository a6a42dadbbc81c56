"""The engine beside llama.cpp's server and vLLM: long chats over HTTP, the same weights, in turns.

    python -m bench.engine_http [--only small|100m|consumer] [--quick]

`small` and `100m` run vLLM's multi-turn format with 4, 16 and 64 users at a time and several
sessions for each; `consumer` replays consumer chat. Every server gets the same visits in slices,
one server after another: the first takes new visits for some seconds, the others then do as many.
Answers have fixed lengths, taken greedily, so that all do the same work; each server goes on with
the chats as it made them. Client and server share the machine's cores, for all alike.

The peers are not installed by this: bench/README.md says how, and where they are is told by
options or by TROUPE_BENCH_LLAMA, TROUPE_BENCH_LLAMA_SOURCE, TROUPE_BENCH_CONVERTER and
TROUPE_BENCH_VLLM. A peer that is not told of is left out, and its figures with it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from bench.common import report
from bench.engine_loads import multi_turn
from bench.engine_models import POSITIONS
from bench.engine_peers import Peers, arguments, started
from bench.engine_run import Replay, Slice
from bench.engine_servers import Server
from bench.engine_shown import Shown, agreement, draw_rates, summary

from bench import engine_consumer

# Sessions for each user, by the users at a time.
USERS = {"small": (4, 16, 64), "100m": (16, 64)}
SESSIONS = {4: 8, 16: 6, 64: 3}


def rates(
    peers: Peers, lasting: Sequence[Server], model: str, users: int, seconds: float, rounds: int
) -> Shown:
    """The multi-turn load on every server; the first sets how many visits a slice has."""
    load = multi_turn(users, users * SESSIONS[users], POSITIONS)
    passing = [*peers.passing(model, users), peers.troupe(model, users)]
    servers = [*passing[:-1], *lasting, passing[-1]]
    slices: dict[str, list[Slice]] = {server.name: [] for server in servers}
    with started(passing):
        agrees = agreement(servers) if model == "small" and users == min(USERS[model]) else {}
        replays = [Replay(server, load) for server in servers]
        at = 0
        for _ in range(rounds):
            count: int | None = None
            for replay in replays:
                visits = load.visits[at:] if count is None else load.visits[at : at + count]
                ran = replay.run(visits, users, seconds if count is None else None)
                count = len(ran.done)
                slices[replay.server.name].append(ran)
            assert count is not None
            at += count
    return summary(model, users, servers, slices, agrees)


def multi(peers: Peers, model: str, quick: bool) -> None:
    """One model's part: its figures, its rows, its plot."""
    lasting = peers.lasting(model)
    seconds, rounds = (4, 1) if quick else (10, 3)
    with started(lasting):
        shown = [rates(peers, lasting, model, users, seconds, rounds) for users in USERS[model]]
    figures: dict[str, float] = {}
    for one in shown:
        ours = one.rates["troupe"]
        for peer in one.rates.keys() - {"troupe"}:
            figures[f"tokens_ratio_{peer}_{model}_{one.users}"] = ours / one.rates[peer]
        if one.ideal:
            figures[f"hit_of_ideal_{model}_{one.users}"] = one.cached["troupe"] / one.ideal
    if model == "small":
        figures["hit_of_ideal"] = min(
            value for key, value in figures.items() if key.startswith("hit_of_ideal_")
        )
    report(
        "engine",
        figures,
        [row for one in shown for row in one.rows] + [(k, v, "") for k, v in figures.items()],
        ("numpy",),
        lambda figure: draw_rates(figure, model, shown),
        {
            "command": f"python -m bench.engine_http --only {model}" + " --quick" * quick,
            "load_of_the_machine": round(os.getloadavg()[0], 2),
            "runs": [one.details for one in shown],
        },
        part=model,
    )


def main() -> None:
    """Run the parts asked for; each writes its results as soon as it is done."""
    parser = arguments(__doc__)
    parser.add_argument("--only", choices=("small", "100m", "consumer"))
    parser.add_argument("--quick", action="store_true", help="one short slice of each")
    given = parser.parse_args()
    peers = Peers.given(given)
    for part in ("small", "100m", "consumer"):
        if given.only in (None, part):
            print(f"== {part}", flush=True)
            if part == "consumer":
                engine_consumer.run(peers, given.quick)
            else:
                multi(peers, part, given.quick)


if __name__ == "__main__":
    main()
