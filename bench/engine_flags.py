"""Which flags serve a server best on this machine: each set runs the same visits, one by one.

    python -m bench.engine_flags [--peer llama|vllm|troupe] [--model small|100m] [--users N]

The base runs first and last, so that the noise shows. What comes out best is written by hand into
`engine_peers.py`; bench/README.md lists what was tried. Takes the options and variables of
`engine_http.py` that say where the peers are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.engine_loads import multi_turn
from bench.engine_models import POSITIONS
from bench.engine_peers import Peers, arguments
from bench.engine_run import Replay, Slice
from bench.engine_servers import Server
from bench.engine_shown import percentile

SESSIONS = 4  # for each user


@dataclass(frozen=True, slots=True)
class Set:
    """Flags behind the base's, where a later flag overrules an earlier one."""

    name: str
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


BASE = Set("base")
LLAMA = (
    Set("one thread", ("-t", "1")),
    Set("unified", ("--kv-unified",)),
    Set("q8_0 keys and values", ("-ctk", "q8_0", "-ctv", "q8_0")),
    Set("reuse of chunks", ("--cache-reuse", "256")),
    Set("no memory in host RAM", ("--cache-ram", "0")),
    Set("no flash attention", ("-fa", "off")),
    Set("whole sliding windows", ("--swa-full",)),
    Set("no checkpoints", ("--ctx-checkpoints", "0")),
    Set("ubatch 128", ("-ub", "128")),
    Set("ubatch 2048", ("-ub", "2048", "-b", "2048")),
    Set("no polling", ("--poll", "0")),
    Set("half the slots", ("--parallel", "HALF")),
)
VLLM = (
    Set("both cores", environment={"VLLM_CPU_OMP_THREADS_BIND": "0-1"}),
    Set("not compiled", ("--enforce-eager",)),
    Set("ten tokens an event", ("--stream-interval", "10")),
    Set("chunks of 512", ("--max-num-batched-tokens", "512")),
)
TROUPE = (Set("one thread", ("--threads", "1")), Set("two threads", ("--threads", "2")))
SETS = {"llama": LLAMA, "vllm": VLLM, "troupe": TROUPE}


def server(peers: Peers, peer: str, model: str, users: int, tried: Set) -> Server:
    """The base with the set's flags behind it."""
    every = [*peers.passing(model, users), *peers.lasting(model), peers.troupe(model, users)]
    found = next((one for one in every if one.name == peer), None)
    if found is None:
        raise SystemExit(f"where is {peer}? See --help")
    flags = [str(max(1, users // 2)) if flag == "HALF" else flag for flag in tried.flags]
    found.command = [*found.command, *flags]
    found.environment = {**found.environment, **tried.environment}
    return found


def main() -> None:
    """Print a line for each set."""
    parser = arguments(__doc__)
    parser.add_argument("--peer", choices=sorted(SETS), default="llama")
    parser.add_argument("--model", choices=("small", "100m"), default="small")
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=8, help="of the base's first run")
    given = parser.parse_args()
    peers = Peers.given(given)
    load = multi_turn(9, given.users * SESSIONS, POSITIONS)
    count: int | None = None
    base = 0.0
    for tried in (BASE, *SETS[given.peer], BASE):
        one = server(peers, given.peer, given.model, given.users, tried)
        visits = load.visits if count is None else load.visits[:count]
        with tempfile.TemporaryDirectory() as logs:
            try:
                one.start(Path(logs) / "log")
                ran = Replay(one, load).run(
                    visits, given.users, given.seconds if count is None else None
                )
            finally:
                one.stop()
        count = len(ran.done)
        base = base or ran.tokens / ran.seconds
        _show(tried, ran, base)
    print(one.shown)


def _show(tried: Set, ran: Slice, base: float) -> None:
    rate = ran.tokens / ran.seconds
    p99 = percentile([done.first_ms for done in ran.done], 0.99)
    cached = sum(done.answer.cached for done in ran.done) / sum(len(d.prompt) for d in ran.done)
    print(
        f"{tried.name:<24} {rate:9.1f} tokens/s  {rate / base:5.2f} of the base  "
        f"first token p99 {p99:8.1f} ms  cached {cached:.3f}  visits {len(ran.done)}",
        flush=True,
    )


if __name__ == "__main__":
    main()
