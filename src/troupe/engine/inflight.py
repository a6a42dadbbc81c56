"""Prefixes that are being computed: whoever needs the same waits for them. Pure.

Of two prompts that begin alike, in one tenant's salt, the second would run the very rows that the
first is running. It waits instead until the first has offered the pages they share, or has ended,
and then goes on from what is held. Tokens are compared, and each pair of prompts once. Called by
the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from troupe.engine.steps import PAGE


class Prefill(Protocol):
    """A prompt that is being run."""

    urgency: float

    @property
    def salt(self) -> str: ...

    @property
    def prompt(self) -> Sequence[int]: ...

    @property
    def offered(self) -> int:
        """Leading tokens of the prompt that others can find in memory."""
        ...

    @property
    def prefilling(self) -> bool:
        """Whether it runs and more of its prompt is to come."""
        ...


P = TypeVar("P", bound=Prefill)


@dataclass(frozen=True, slots=True)
class Wait(Generic[P]):
    """Wait until `leader` has offered `until` tokens."""

    leader: P
    until: int

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for: the pages are there, or will never be."""
        return not self.leader.prefilling or self.leader.offered >= self.until


def waits_for(
    job: P,
    wait: Wait[P] | None,
    running: Iterable[P],
    longest_match: Callable[[str, Sequence[int]], int],
) -> Wait[P] | None:
    """Whom a job that may begin has to wait for: as before (`wait`) while that lasts, else whoever
    runs what it needs now. Who is waited for becomes as urgent as who waits."""
    if wait is not None and not wait.over:
        return wait
    prefills = [one for one in running if one.prefilling]
    if not prefills:
        return None
    found = leader_of(job.salt, job.prompt, longest_match(job.salt, job.prompt), prefills)
    if found is not None:
        found.leader.urgency = min(found.leader.urgency, job.urgency)
    return found


def leader_of(salt: str, prompt: Sequence[int], held: int, running: Iterable[P]) -> Wait[P] | None:
    """Whom a prompt of which `held` leading tokens are in memory should wait for, if anybody.

    The one with most to give. The last token of a prompt is always run, so it is not waited for.
    """
    best: Wait[P] | None = None
    for job in running:
        if not job.prefilling or job.salt != salt:
            continue
        common = common_prefix(job.prompt, prompt, len(prompt) - 1) // PAGE * PAGE
        if common > max(held, job.offered, best.until if best is not None else 0):
            best = Wait(job, common)
    return best


def common_prefix(a: Sequence[object], b: Sequence[object], limit: int) -> int:
    """How many leading items two sequences of a type share, up to `limit`: by halving, so that
    slices are compared in C."""
    low, high = 0, min(len(a), len(b), limit)
    if a[:high] == b[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
