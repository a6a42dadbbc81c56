"""The supervisor, over tiny real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from troupe.ops.errors import ChildFailed
from troupe.ops.launch import Launch
from troupe.ops.supervisor import Backoff, Child, Event, LogFile, Stop, Supervisor
from troupe.ops.supervisor.child import Report

SLEEPER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('up'); time.sleep(600)"
STUBBORN = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path(sys.argv[1]).write_text('up'); time.sleep(600)"
)


def _launch(code: str, *args: object) -> Callable[[Report], Awaitable[Launch]]:
    async def launch(_: Report) -> Launch:
        argv = [sys.executable, "-S", "-c", code, *map(str, args)]
        return Launch(argv, {"PATH": os.defpath})

    return launch


def _when(mark: Path) -> Callable[[int], Awaitable[str | None]]:
    async def ready(_: int) -> str | None:
        return None if os.path.exists(mark) else "no mark yet"  # noqa: ASYNC240, PTH110

    return ready


def _sleeper(name: str, folder: Path, **more: Any) -> Child:
    code = more.pop("code", SLEEPER)
    mark = folder / f"{name}.up"
    return Child(name, _launch(code, mark), _when(mark), **more)


class Seen:
    """The events of a run, and waiting for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        task = asyncio.get_running_loop().create_task(self._wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, child: str, kind: str, times: int = 1) -> None:
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: self.count(child, kind) >= times)

    def count(self, child: str, kind: str) -> int:
        return len([e for e in self.events if (e.child, e.kind) == (child, kind)])

    def order(self, kind: str) -> list[str]:
        return [event.child for event in self.events if event.kind == kind]


@asynccontextmanager
async def _running(children: list[Child], logs: Path) -> Any:
    seen = Seen()
    supervisor = Supervisor(children, logs, seen)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor, seen
    finally:
        supervisor.stop()
        await task


def _children_of_ours() -> list[int]:
    import psutil

    return [p.pid for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]


async def test_children_start_after_what_they_need_and_stop_in_reverse(tmp_path: Path) -> None:
    before = set(_children_of_ours())
    children = [
        _sleeper("a", tmp_path),
        _sleeper("b", tmp_path, needs=("a",)),
        _sleeper("c", tmp_path, needs=("b",)),
    ]
    async with _running(children, tmp_path) as (supervisor, seen):
        await supervisor.settled()
        assert supervisor.in_trouble() == {}
    assert seen.order("ready") == ["a", "b", "c"]
    assert seen.order("stopped") == ["c", "b", "a"]
    assert set(_children_of_ours()) <= before


async def test_one_that_dies_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    children = [_sleeper("a", tmp_path), _sleeper("b", tmp_path)]
    async with _running(children, tmp_path) as (supervisor, seen):
        await supervisor.settled()
        pid = supervisor.pid("b")
        os.kill(pid, signal.SIGKILL)
        await seen.until("b", "ready", 2)
        assert supervisor.pid("b") != pid
    assert "ended by SIGKILL" in next(e.detail for e in seen.events if e.kind == "died")
    assert seen.count("a", "starting") == 1


async def test_one_that_cannot_come_up_is_reported_with_its_last_words(tmp_path: Path) -> None:
    before = set(_children_of_ours())
    broken = Child(
        "b", _launch("print('no such model'); raise SystemExit(3)"), _when(tmp_path / "never")
    )
    with pytest.raises(ChildFailed) as caught:
        await Supervisor([_sleeper("a", tmp_path), broken], tmp_path, Seen()).run()
    assert "b does not come up: ended with status 3" in str(caught.value)
    assert "no such model" in str(caught.value)
    assert set(_children_of_ours()) <= before


async def test_without_one_that_is_not_essential_the_rest_goes_on(tmp_path: Path) -> None:
    broken = Child(
        "b",
        _launch("print('no such model'); raise SystemExit(3)"),
        _when(tmp_path / "never"),
        essential=False,
    )
    async with _running([broken, _sleeper("a", tmp_path)], tmp_path) as (supervisor, _):
        await supervisor.settled()
        assert supervisor.in_trouble() == {"b": "no such model"}


async def test_what_runs_once_goes_before_what_needs_it(tmp_path: Path) -> None:
    done = tmp_path / "done"
    job = Child(
        "job",
        _launch("import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('1')", done),
        _when(tmp_path / "never"),
        once=True,
    )
    late = _sleeper(
        "late",
        tmp_path,
        needs=("job",),
        code=f"import pathlib; assert pathlib.Path({str(done)!r}).exists()\n{SLEEPER}",
    )
    async with _running([job, late], tmp_path) as (supervisor, seen):
        await supervisor.settled()
    assert seen.count("job", "starting") == 1


async def test_a_job_that_fails_ends_it_all(tmp_path: Path) -> None:
    job = Child("job", _launch("raise SystemExit('disk full')"), _when(tmp_path / "x"), once=True)
    with pytest.raises(ChildFailed, match="disk full"):
        await Supervisor([job], tmp_path, Seen()).run()


async def test_one_that_does_not_listen_is_killed_in_the_end(tmp_path: Path) -> None:
    child = _sleeper("a", tmp_path, code=STUBBORN, stops=(Stop(signal.SIGTERM, 0.1),))
    async with _running([child], tmp_path) as (supervisor, seen):
        await supervisor.settled()
    assert seen.order("stopped") == ["a"]


async def test_a_second_stop_has_no_patience(tmp_path: Path) -> None:
    child = _sleeper("a", tmp_path, code=STUBBORN, stops=(Stop(signal.SIGTERM, 600.0),))
    async with _running([child], tmp_path) as (supervisor, seen):
        await supervisor.settled()
        supervisor.stop()
        await seen.until("a", "stopping")
    assert seen.order("stopped") == ["a"]


async def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    started = tmp_path / "grandchild"
    code = (
        "import pathlib, subprocess, sys\n"
        "held = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(started)!r}).write_text(str(held.pid))\n{SLEEPER}"
    )
    async with _running([_sleeper("a", tmp_path, code=code)], tmp_path) as (supervisor, seen):
        await supervisor.settled()
        first = int(started.read_text())
        os.kill(supervisor.pid("a"), signal.SIGKILL)
        await seen.until("a", "ready", 2)
        import psutil

        assert not psutil.pid_exists(first) or psutil.Process(first).status() == "zombie"


async def test_stopping_while_a_child_starts_leaves_none(tmp_path: Path) -> None:
    before = set(_children_of_ours())
    never = Child("a", _launch("import time; time.sleep(600)"), _when(tmp_path / "never"))
    async with _running([never], tmp_path) as (_, seen):
        await seen.until("a", "starting")
    assert set(_children_of_ours()) <= before


def test_delays_double_to_a_limit_and_a_long_life_begins_anew() -> None:
    backoff = Backoff(first_s=1, most_s=8, stable_s=60)
    assert [backoff.after(lived_s=0) for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    assert backoff.after(lived_s=60) == 1


def test_a_log_changes_files_at_its_limit_and_keeps_the_last_lines(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", limit=20, kept=2)
    for number in range(12):
        log.write(f"line {number:04}\n".encode())
    log.write(b"par")
    log.write(b"tial")
    log.close()
    assert log.last(3) == ["line 0010", "line 0011", "partial"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert (tmp_path / "a.log.1").read_text() == "line 0010\nline 0011\n"


def test_what_was_ready_is_not_waited_for_long() -> None:
    backoff = Backoff(first_s=1, most_s=8, most_ready_s=2, stable_s=60)
    assert [backoff.after(1, was_ready=True) for _ in range(9)] == [1, *[2] * 8]
    assert [backoff.after(1) for _ in range(3)] == [2, 4, 8]
