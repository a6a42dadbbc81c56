"""The gateway: all models of all providers, and one answer from whichever has the chosen one.

Adds to a provider what every provider needs: time limits, retries before the first token, a circuit
breaker, metrics. Called by the chat service, which opens and closes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import NoReturn

from troupe.gateway import metrics
from troupe.gateway.breaker import Breaker, BreakerPolicy, State
from troupe.gateway.discovery import Discovery
from troupe.gateway.errors import (
    GatewayError,
    ModelNotFound,
    ProviderUnavailable,
    RateLimited,
    Timeout,
    UpstreamError,
)
from troupe.gateway.offers import Offers
from troupe.gateway.retry import RetryPolicy
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo, Provider
from troupe.telemetry import logs, traces

log = logs.get(__name__)

Events = AsyncGenerator[Delta | Finish, None]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an answer may take, in seconds."""

    first_token: float = 120.0  # a local server may have to load its model first
    between_tokens: float = 60.0
    total: float = 900.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How hard the gateway tries."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


_COMMON = Policy()


class Gateway:
    """Models and answers. Safe to use from many tasks of one event loop."""

    def __init__(
        self,
        providers: Sequence[Provider],
        discovery: Discovery | None = None,
        default_model: str | None = None,
        policies: Mapping[str, Policy] | None = None,
    ) -> None:
        """The first model that is ready is the default, unless `default_model` names one.
        `policies` are by a provider's name; the others get the common one."""
        self._offers = Offers(providers, discovery)
        self._default = default_model
        self._policies = policies or {}
        self._breakers: dict[str, Breaker] = {}
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to keep the list of models fresh."""
        self._task = asyncio.create_task(self._offers.keep_fresh())

    async def close(self) -> None:
        """End that, and close all connections."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._offers.close()

    async def models(self) -> list[ModelInfo]:
        """All models on offer, the default provider's first."""
        return await self._offers.models()

    async def resolve(self, model_id: str | None) -> ModelInfo:
        """The model of that id; the default one for None. Raises `ModelNotFound`, or
        `ProviderUnavailable` if there is none at all."""
        model_id = model_id or self._default
        models = await self._offers.models()
        found = _pick(models, model_id)
        if found is None:
            found = _pick(await self._offers.look_again(), model_id)
        if found is not None:
            return found
        if model_id is not None:
            raise ModelNotFound(f"There is no model {model_id!r} on offer now.")
        raise ProviderUnavailable(self._offers.why_none())

    async def stream(self, request: GenerationRequest) -> Events:
        """Make one answer: its pieces, then one `Finish`. Closing the iterator ends the work at
        the provider. Raises the errors of `errors.py`."""
        model = await self.resolve(request.model)
        provider = self._offers.provider(model)
        outcome = "cancelled"
        try:
            async with aclosing(self._timed(provider, request, model)) as events:
                async for event in events:
                    if isinstance(event, Finish):
                        outcome = event.reason
                        _count(event)
                    yield event
        except GatewayError as error:
            outcome = type(error).__name__
            log.warning("no answer", provider=provider.name, model=model.id, error=str(error))
            raise
        finally:
            metrics.ANSWERS.labels(provider.name, outcome).inc()

    async def _timed(
        self, provider: Provider, request: GenerationRequest, model: ModelInfo
    ) -> Events:
        """An answer within its time limits."""
        limits, started = self._policy(provider).timeouts, time.monotonic()
        breaker = self._breaker(provider)
        first, events = await self._begin(provider, breaker, request, model)
        metrics.FIRST_TOKEN.labels(provider.name).observe(time.monotonic() - started)
        async with aclosing(events):
            event: Delta | Finish | None = first
            while event is not None:
                yield event
                if isinstance(event, Finish):
                    return
                left = limits.total - (time.monotonic() - started)
                try:
                    event = await _next(provider, events, min(limits.between_tokens, left))
                except GatewayError as error:
                    self._failed(provider, breaker, error)
                    raise
        raise UpstreamError(f"{provider.name} broke off in the middle of its answer")

    async def _begin(
        self, provider: Provider, breaker: Breaker, request: GenerationRequest, model: ModelInfo
    ) -> tuple[Delta | Finish, Events]:
        """The first event, asked for as often as the policy allows, and the rest."""
        attempt, waited = 0, 0.0
        while True:
            attempt += 1
            try:
                return await self._try(provider, breaker, request, model)
            except GatewayError as error:
                pause = self._policy(provider).retry.pause(error, attempt, waited)
                if pause is None:
                    raise
            metrics.RETRIES.labels(provider.name).inc()
            waited += pause
            await asyncio.sleep(pause)

    async def _try(
        self, provider: Provider, breaker: Breaker, request: GenerationRequest, model: ModelInfo
    ) -> tuple[Delta | Finish, Events]:
        wait = breaker.wait(time.monotonic())
        if wait > 0:
            why = f"{provider.name} has failed several times in a row and is left alone for now"
            raise ProviderUnavailable(why, retry_after=wait)
        breaker.begin(time.monotonic())
        limit = self._policy(provider).timeouts.first_token
        events = provider.stream(request, model)
        try:
            with traces.span("gateway.first_token", provider=provider.name, model=model.id):
                first = await _next(provider, events, limit)
            if first is None:
                _broke_off(provider)
        except GatewayError as error:
            await events.aclose()
            self._failed(provider, breaker, error)
            raise
        except BaseException:
            await events.aclose()
            breaker.abandoned()
            raise
        breaker.succeeded()
        metrics.CIRCUIT_OPEN.labels(provider.name).set(0)
        return first, events

    def _breaker(self, provider: Provider) -> Breaker:
        if provider.name not in self._breakers:
            self._breakers[provider.name] = Breaker(self._policy(provider).breaker)
        return self._breakers[provider.name]

    def _policy(self, provider: Provider) -> Policy:
        return self._policies.get(provider.name, _COMMON)

    def _failed(self, provider: Provider, breaker: Breaker, error: GatewayError) -> None:
        """What says that the provider is unwell counts; a refusal of this request does not."""
        if not error.transient or isinstance(error, RateLimited):
            breaker.abandoned()
            return
        now = time.monotonic()
        breaker.failed(now)
        self._offers.doubt()
        is_open = breaker.state(now) is State.OPEN
        metrics.CIRCUIT_OPEN.labels(provider.name).set(int(is_open))


async def _next(provider: Provider, events: Events, limit: float) -> Delta | Finish | None:
    """The next event, or None at the end. Raises `Timeout` after `limit` seconds."""
    try:
        async with asyncio.timeout(max(0.0, limit)):
            return await anext(events, None)
    except TimeoutError as error:
        raise Timeout(f"{provider.name} took too long to answer") from error


def _broke_off(provider: Provider) -> NoReturn:
    raise UpstreamError(f"{provider.name} ended before it answered")


def _pick(models: Sequence[ModelInfo], model_id: str | None) -> ModelInfo | None:
    if model_id is None:
        return next((m for m in models if m.ready), models[0] if models else None)
    return next((m for m in models if m.id == model_id), None)


def _count(finish: Finish) -> None:
    usage = finish.usage
    for kind in ("prompt", "cached", "completion"):
        tokens = getattr(usage, f"{kind}_tokens")
        metrics.TOKENS.labels(finish.provider, kind).inc(tokens)
