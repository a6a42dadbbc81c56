"""How long until a character talks, and what the idle platform weighs.

    python -m bench.up [--clone]

Measures `troupe up` on an empty home (first start) and on the same home again (later start): to a
ready site, and on to the first streamed token. `--clone` also measures from `git clone` of this
checkout, with its own virtual environment, to the first token. Memory is the proportional set size
of all processes (shared pages counted once), a minute after the last answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from bench.common import add_figures, report
from matplotlib.figure import Figure
from tests.support.careful_client import CarefulClient
from tests.support.platform import Platform

ROOT = Path(__file__).parent.parent
SETTLE_S = 60


async def first_token(url: str) -> None:
    """From nothing known of the site to the first piece of an answer."""
    async with CarefulClient(url) as client:
        await client.sign_in_as_guest()
        chat = await client.create_chat("mira-vale")
        await client.send_frame({
            "type": "send", "id": "1", "chat": chat["id"], "branch": chat["active_branch"],
            "client_id": "bench", "text": "Hello! Who are you?",
        })  # fmt: skip
        while (await client.receive())["type"] != "delta":
            pass


def start(platform: Platform) -> tuple[float, float]:
    """Seconds from `troupe up` to a ready site, and to the first token."""
    began = time.perf_counter()
    platform.start()
    ready = time.perf_counter() - began
    asyncio.run(first_token(platform.url))
    return ready, time.perf_counter() - began


def weigh(pid: int) -> dict[str, float]:
    """MB of every process under `pid`, by what it is, as proportional set size."""
    found: dict[str, float] = {}
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        line = process.cmdline()
        name = line[line.index("serve") + 1] if "serve" in line else "supervisor"
        if any(part.startswith("postgres") for part in line[:1]) or "postgres" in process.name():
            name = "postgres"
        found[name] = found.get(name, 0.0) + process.memory_full_info().pss / 1e6
    return found


def clone(folder: Path) -> float:
    """Seconds from `git clone` to the first token of what was cloned."""
    began = time.perf_counter()
    copy = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
    platform = Platform(folder / "clone-home")
    platform.home.mkdir()
    python = shutil.which("python3", path=os.defpath) or "python3"
    with platform.log.open("ab") as log:
        process = subprocess.Popen(
            ["make", "-C", str(copy), "run", f"PYTHON={os.environ.get('PYTHON', python)}"],
            env=platform.env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        asyncio.run(_until_token(platform.url))
        return time.perf_counter() - began
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


async def _until_token(url: str) -> None:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        try:
            return await first_token(url)
        except Exception as error:  # the site is still being built: anything may fail until then
            last = error
            await asyncio.sleep(0.25)
    raise TimeoutError(f"no token after 15 minutes: {last}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clone", action="store_true")
    options = arguments.parse_args()
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        platform = Platform(folder / "home")
        times["first start, ready"], times["first start, first token"] = start(platform)
        platform.stop()
        times["later start, ready"], times["later start, first token"] = start(platform)
        time.sleep(SETTLE_S)
        parts = weigh(platform.pid)
        platform.stop()
        if options.clone:
            times["git clone to first token"] = clone(folder)
    whole = sum(parts.values())
    report(
        "up",
        {"up_idle_mb": whole, **{_key(what): value for what, value in times.items()}},
        [
            *((what, value, "s") for what, value in times.items()),
            *((f"{part}, idle", size, "MB") for part, size in sorted(parts.items())),
            ("all processes, idle", whole, "MB"),
        ],
        ("django", "psycopg", "starlette", "torch", "uvicorn"),
        lambda figure: draw(figure, parts),
        {"command": "python -m bench.up", "load_of_the_machine": os.getloadavg()[0]},
    )
    add_figures("chat", {"up_idle_mb": whole})


def _key(what: str) -> str:
    return what.replace(",", "").replace(" ", "_") + "_s"


def draw(figure: Figure, parts: dict[str, float]) -> None:
    """Memory by process."""
    axes = figure.subplots()
    axes.barh(list(parts), list(parts.values()), color="#D9482B")
    axes.set_xlabel("MB, proportional set size")
    axes.set_title("`troupe up`, idle")


if __name__ == "__main__":
    main()
