"""What the supervisor is told of a process, and what it tells of it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from troupe.ops.launch import Launch

Report = Callable[[str], None]
Kind = Literal["starting", "waiting", "ready", "died", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Stop:
    """A signal to end a process with, and how many seconds it has before the next is tried."""

    signal: signal.Signals
    seconds: float


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep alive.

    `launch` is asked before each start, and may report what takes it long. `ready` is asked with
    the process's id until it gives None (fit for use); meanwhile its answer is why not. A child
    starts once those named in `needs` have been ready. One that runs `once` is done, and ready,
    when it ends with status 0. Without an `essential` one the rest goes on.
    """

    name: str
    launch: Callable[[Report], Awaitable[Launch]]
    ready: Callable[[int], Awaitable[str | None]]
    needs: Sequence[str] = ()
    stops: Sequence[Stop] = (Stop(signal.SIGTERM, 15.0),)
    essential: bool = True
    once: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a child; `detail` is for people."""

    child: str
    kind: Kind
    detail: str = ""
