"""The supervisor: runs children until told to stop, and leaves none behind.

Each child has one task that starts it, watches it, and starts it again when it died. The order is
that of the list: what a child needs stands before it, and the last are stopped first.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from troupe.ops.errors import ChildFailed, OpsError
from troupe.ops.launch import Launch
from troupe.ops.supervisor.backoff import Backoff
from troupe.ops.supervisor.child import Child, Event
from troupe.ops.supervisor.logfile import LogFile

TRIES = 3  # an essential child that was never ready is given up after this many deaths
_ASK_EVERY_S = 0.03
_ASK_SLOWLY_S = 0.5
_SAY_AFTER_S = 1.0


class _State:
    """A child and what has become of it."""

    def __init__(self, spec: Child, logs: Path) -> None:
        self.spec = spec
        self.log = LogFile(logs / f"{spec.name}.log")
        self.process: asyncio.subprocess.Process | None = None
        self.ready_once = asyncio.Event()
        self.ready_now = False  # whether this life of it became ready
        self.settled = asyncio.Event()  # ready once, or known to be in trouble


class Supervisor:
    """Keeps `children` alive. `tell` is called with every event; it must not block."""

    def __init__(
        self, children: Sequence[Child], logs: Path, tell: Callable[[Event], None]
    ) -> None:
        self._states = {child.name: _State(child, logs) for child in children}
        self._tell = tell
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Run until `stop`. Raises `ChildFailed`, or what a launch raised, if an essential child
        cannot be brought up; everything is stopped first."""
        tasks = {asyncio.create_task(self._keep(state)) for state in self._states.values()}
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            waiting = {stopping, *tasks}
            while not stopping.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            self._stopping.set()
            await self._end_all()
            await asyncio.wait(tasks)
            for state in self._states.values():
                state.log.close()
        for task in tasks:
            task.result()

    def stop(self) -> None:
        """Begin to stop; the second time, without patience."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def settled(self) -> None:
        """Wait until every child has been ready, or, if it is not essential, is in trouble."""
        for state in self._states.values():
            await state.settled.wait()

    def in_trouble(self) -> dict[str, str]:
        """Children that were never ready, and the last thing each said."""
        return {
            name: " ".join(state.log.last(1)) or "it said nothing"
            for name, state in self._states.items()
            if not state.ready_once.is_set()
        }

    def pid(self, name: str) -> int:
        """The process id of a child that runs."""
        process = self._states[name].process
        assert process is not None
        return process.pid

    async def _keep(self, state: _State) -> None:
        """One child's life, over all its deaths."""
        spec = state.spec
        backoff = Backoff()
        for need in spec.needs:
            if not await self._unless_stopping(self._states[need].ready_once.wait()):
                return
        while not self._stopping.is_set():
            self._tell(Event(spec.name, "starting"))
            began = time.monotonic()
            try:
                status = await self._live(state)
                how = _how_it_ended(status)
            except OpsError as error:
                if not state.ready_once.is_set():  # it would not help to try again
                    raise
                status, how = 1, str(error)
            if self._stopping.is_set():
                return
            if spec.once and status == 0:
                self._set_ready(state)
                return
            delay = backoff.after(time.monotonic() - began, state.ready_now)
            if not state.ready_once.is_set():
                if spec.essential and (spec.once or backoff.deaths >= TRIES):
                    raise ChildFailed(_why(state, how), f"The whole is in {state.log.path}")
                if backoff.deaths >= TRIES:
                    state.settled.set()
            last = "; ".join(state.log.last(1))
            again = f"{how}; starting again in {delay:.1f} s"
            self._tell(Event(spec.name, "died", f"{again} ({last})" if last else again))
            await self._unless_stopping(asyncio.sleep(delay))

    async def _live(self, state: _State) -> int:
        """Start the child, see it become ready, and wait for its end; its exit status."""
        launch = await state.spec.launch(
            lambda what: self._tell(Event(state.spec.name, "waiting", what))
        )
        if self._stopping.is_set():
            return 0
        process, pipe = await _spawn(launch, state.log)
        state.process, state.ready_now = process, False
        watching = asyncio.create_task(self._watch(state, process))
        try:
            if self._stopping.is_set():  # while it was started
                await self._end(state)
            return await process.wait()
        finally:
            watching.cancel()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started goes with it
            pipe.close()
            state.process = None

    async def _watch(self, state: _State, process: asyncio.subprocess.Process) -> None:
        """Ask whether the child is ready, saying now and then why it is not."""
        if state.spec.once:
            return
        began, said = time.monotonic(), ""
        while (why_not := await state.spec.ready(process.pid)) is not None:
            now = time.monotonic()
            if now - began >= _SAY_AFTER_S and why_not != said:
                said = why_not
                self._tell(Event(state.spec.name, "waiting", why_not))
            await asyncio.sleep(_ASK_EVERY_S if now - began < 10 else _ASK_SLOWLY_S)
        self._set_ready(state)

    def _set_ready(self, state: _State) -> None:
        state.ready_once.set()
        state.ready_now = True
        state.settled.set()
        self._tell(Event(state.spec.name, "ready"))

    async def _unless_stopping(self, work: object) -> bool:
        """Await `work`, but not beyond the moment of stopping; whether it was done."""
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            task.cancel()
        return not self._stopping.is_set()

    async def _end_all(self) -> None:
        """End the children, the last of the list first."""
        for state in reversed(self._states.values()):
            if state.process is not None:
                self._tell(Event(state.spec.name, "stopping"))
                await self._end(state)
                self._tell(Event(state.spec.name, "stopped"))

    async def _end(self, state: _State) -> None:
        """Ask a child to end, then insist."""
        process = state.process
        for step in state.spec.stops:
            if process is None or not _send(process, step.signal):
                return
            limit = asyncio.create_task(asyncio.sleep(step.seconds))
            ended = asyncio.create_task(process.wait())
            hurry = asyncio.create_task(self._hurry.wait())
            await asyncio.wait((ended, limit, hurry), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, limit, hurry):
                task.cancel()
            if process.returncode is not None:
                return
        if process is not None and _send(process, signal.SIGKILL):
            await process.wait()


def _send(process: asyncio.subprocess.Process, what: signal.Signals) -> bool:
    """Whether the process was still there to get the signal."""
    if process.returncode is not None:
        return False
    with suppress(ProcessLookupError):
        process.send_signal(what)
    return True


async def _spawn(launch: Launch, log: LogFile) -> tuple[asyncio.subprocess.Process, _Pipe]:
    """Start a process in a session of its own, so that Ctrl-C reaches the supervisor alone.

    The pipe of its output is ours and not asyncio's, which would take the process for alive as
    long as anything that it started holds the other end.
    """
    reading, writing = os.pipe()
    try:
        with launch.in_child() as prepare_child:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                env=dict(launch.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
                preexec_fn=prepare_child,
            )
    except OSError as error:
        os.close(reading)
        raise OpsError(f"{launch.argv[0]} cannot be started: {error}") from error
    finally:
        os.close(writing)
    return process, _Pipe(reading, log)


class _Pipe:
    """Everything a child writes, into its log, as it comes."""

    def __init__(self, fd: int, log: LogFile) -> None:
        self._fd = fd
        self._log = log
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def _read(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._fd)
            return False
        self._log.write(data)
        return True

    def close(self) -> None:
        """Take what is left; what comes later, from whoever holds the other end, is refused."""
        while self._read():
            pass
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


def _how_it_ended(status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _why(state: _State, how: str) -> str:
    said = state.log.last(5)
    what = f"{state.spec.name} does not come up: {how}"
    return "\n  ".join([what, *said]) if said else what
