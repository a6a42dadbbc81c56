"""The provider over replicas of Troupe's engine: a conversation stays with one, and an answer whose
replica dies goes on with another.

Token ids are what makes that exact: the engine sends them with each piece of text, and takes those
that the reader has as the beginning of an answer, which it goes on with as if it had drawn them
itself. So no token is lost or doubled, text held back at the cut (half a character, a possible stop
string) comes after it, and a seed stays in its place. Called by the gateway, as any provider.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from troupe.gateway import metrics
from troupe.gateway.engines.members import Member
from troupe.gateway.engines.registry import LocalRegistry, Registry, everyone
from troupe.gateway.engines.replicas import Replica, Replicas
from troupe.gateway.engines.watch import Pace, Watch
from troupe.gateway.errors import (
    GatewayError,
    ProviderUnavailable,
    RateLimited,
    Timeout,
    UpstreamError,
)
from troupe.gateway.rendezvous import Bound
from troupe.gateway.retry import RetryPolicy
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo, Provider
from troupe.telemetry import logs

log = logs.get(__name__)

Events = AsyncGenerator[Delta | Finish, None]

# One that dies of the very request takes no more than these with it.
MAX_FAILURES = 3
# Within an answer, how long to wait for a replica when there is none: an engine that crashed alone
# is back within seconds.
PATIENCE = RetryPolicy(attempts=20, longest_pause_s=2.0, patience_s=20.0)


@dataclass(slots=True)
class _Answer:
    """What the reader has of an answer so far, and what it took."""

    started: float
    first: float = 0.0  # when the first token came
    ids: list[int] = field(default_factory=list)
    told: int = 0  # how many of them went out with text
    resumed: int = 0  # times
    failed: set[Replica] = field(default_factory=set)
    failures: int = 0  # that the request itself may be to blame for
    waits: int = 0
    waited: float = 0.0  # seconds


class EnginesProvider:
    """Replicas of one engine, or of several models', as one provider."""

    def __init__(
        self,
        name: str,
        connect: Callable[[Member], Provider],
        members: Sequence[Member] = (),
        registry: Registry | None = None,
        bound: Bound | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`connect` makes the provider of one replica; its pieces of an answer must bring token
        ids. `members` are there for good, those of `registry` come and go; without one, nobody
        does but by `self.registry`."""
        self.name = name
        self.registry: Registry = registry or LocalRegistry()
        self._replicas = Replicas(bound)
        self._watch = Watch(lambda: everyone(self.registry, members), self._replicas, connect, pace)

    async def models(self) -> list[ModelInfo]:
        """What the replicas serve, ready or not. Raises `ProviderUnavailable` if nobody has said
        what it serves yet."""
        await self._watch.look()
        self._watch.start()
        models = self._replicas.models(self.name)
        if not models:
            raise ProviderUnavailable(self._why_nothing())
        return models

    async def stream(self, request: GenerationRequest, model: ModelInfo) -> Events:
        """One answer, from as many replicas as it takes. Raises the errors of `errors.py`."""
        answer = _Answer(started=time.monotonic())
        while True:
            replica = await self._replica(request, model, answer)
            try:
                part = replace(request, resumed=tuple(answer.ids)) if answer.ids else request
                async with aclosing(self._part(replica, part, model, answer)) as events:
                    async for event in events:
                        yield event
                return
            except GatewayError as error:
                others = self._failed(replica, model, answer, error)
                if isinstance(error, RateLimited) and not others:
                    await _pause(answer, error)

    async def close(self) -> None:
        """Close all connections, and the registry."""
        await self._watch.close()
        await self.registry.close()

    async def _replica(
        self, request: GenerationRequest, model: ModelInfo, answer: _Answer
    ) -> Replica:
        """Who makes the answer, or its rest. Before the first token it is the gateway that waits
        and asks again; after it, only we can."""
        while True:
            now = time.monotonic()
            found = self._replicas.choose(request.conversation, model, answer.failed, now)
            if found is None and answer.failed:  # rather one that failed than nobody
                found = self._replicas.choose(request.conversation, model, (), now)
            if found is not None:
                return found
            await self._watch.look()
            found = self._replicas.choose(request.conversation, model, (), time.monotonic())
            if found is not None:
                return found
            error = ProviderUnavailable(self._replicas.why_none(model))
            if not answer.ids:
                raise error
            await _pause(answer, error)

    async def _part(
        self, replica: Replica, request: GenerationRequest, model: ModelInfo, answer: _Answer
    ) -> Events:
        """What one replica makes of the answer."""
        began = False
        replica.breaker.begin(time.monotonic())
        replica.in_flight += 1
        _show_load(replica)
        try:
            async with aclosing(replica.engine.stream(request, model)) as events:
                while (event := await _next(replica, events)) is not None:
                    if not began:
                        began = True
                        replica.breaker.succeeded()
                        self._replicas.settle(request.conversation, replica)
                        if answer.ids:
                            answer.resumed += 1
                            metrics.RESUMED.labels(replica.name).inc()
                            log.info("an answer goes on", replica=replica.name, at=len(answer.ids))
                    if isinstance(event, Finish):
                        yield _finished(event, self.name, answer)
                        return
                    answer.first = answer.first or time.monotonic()
                    answer.ids.extend(event.token_ids)
                    if event.text:
                        told, answer.told = answer.told, len(answer.ids)
                        yield Delta(event.text, tuple(answer.ids[told:]))
            # A whole answer ends with a `Finish`.
            raise UpstreamError(f"{replica.name} broke off in the middle of its answer")
        except GatewayError as error:
            # One that could not be reached, or said no, was not harmed by the request.
            answer.failures += began or not isinstance(error, ProviderUnavailable | RateLimited)
            raise
        finally:
            if not began:
                replica.breaker.abandoned()
            replica.in_flight -= 1
            _show_load(replica)

    def _failed(
        self, replica: Replica, model: ModelInfo, answer: _Answer, error: GatewayError
    ) -> bool:
        """Take note of a failure. Whether there is a replica that this answer has not tried;
        raises `error` if trying would not help, or if it is for the gateway to wait and ask
        again."""
        answer.failed.add(replica)
        if not error.transient:
            raise error
        now = time.monotonic()
        if isinstance(error, RateLimited):  # its queue is full: it is not unwell
            metrics.PASSED_OVER.labels(replica.name).inc()
        else:
            replica.breaker.failed(now)
            replica.down(str(error))
            metrics.REPLICA_FAILURES.labels(replica.name).inc()
            log.warning("an engine failed", replica=replica.name, error=str(error))
        others = bool(self._replicas.able(model, answer.failed, now))
        if answer.failures >= MAX_FAILURES or not (answer.ids or others):
            raise error
        return others

    def _why_nothing(self) -> str:
        return "; ".join(f"{each.name}: {each.why_not}" for each in self._replicas) or (
            "no engine is known"
        )


async def _next(replica: Replica, events: Events) -> Delta | Finish | None:
    """The next event, or None at the end. Raises `Timeout` when the replica is found to hang."""
    try:
        async with asyncio.timeout(None) as cut:
            replica.waiting.add(cut)
            try:
                return await anext(events, None)
            finally:
                replica.waiting.discard(cut)
    except TimeoutError as error:
        raise Timeout(f"{replica.name} does not answer any more") from error


async def _pause(answer: _Answer, error: GatewayError) -> None:
    """Wait for a replica to come back or to have room; raises `error` when patience is spent."""
    answer.waits += 1
    pause = PATIENCE.pause(error, answer.waits, answer.waited)
    if pause is None:
        raise error
    answer.waited += pause
    answer.failed.clear()
    await asyncio.sleep(pause)


def _finished(finish: Finish, provider: str, answer: _Answer) -> Finish:
    """The end as the whole answer's: its times are from the first replica on."""
    ended = time.monotonic()
    usage = replace(
        finish.usage,
        ttft_ms=((answer.first or ended) - answer.started) * 1e3,
        total_ms=(ended - answer.started) * 1e3,
    )
    if "usage_estimated" in finish.extra:  # the replica died before it told: the tokens are known
        usage = replace(usage, completion_tokens=len(answer.ids))
    extra = {**finish.extra, "resumed": answer.resumed} if answer.resumed else finish.extra
    return replace(finish, usage=usage, extra=extra, provider=provider)


def _show_load(replica: Replica) -> None:
    if not replica.gone:
        metrics.IN_FLIGHT.labels(replica.name).set(replica.in_flight)
