"""The gateway: one list of models over all providers, and answers with retries and a breaker.

Called by the chat service. An answer is retried only before its first piece: after that, a failure
is the caller's to show.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from troupe.telemetry import logs

from . import metrics
from .breaker import Breaker, Circuit
from .errors import GatewayError, ModelNotFound, ProviderUnavailable, RateLimited
from .types import Delta, Finish, GenerationRequest, ModelInfo, Provider

log = logs.get(__name__)

FRESH_S = 10.0  # a list of models is asked again after this
FRESH_AWAY_S = 0.5  # and after this while something in it is not ready
LONGEST_WAIT_S = 2.0  # a provider that asks for more is not waited for


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and after how many seconds at first; each wait doubles, with jitter."""

    attempts: int = 4
    first_wait_s: float = 0.25


@dataclass(slots=True)
class _Served:
    """A provider with what is known of it."""

    provider: Provider
    breaker: Breaker = field(default_factory=Breaker)
    models: list[ModelInfo] = field(default_factory=list)
    asked_at: float = float("-inf")
    why_not: str = ""

    def stale(self, now: float) -> bool:
        well = not self.why_not and all(model.ready for model in self.models)
        return now - self.asked_at > (FRESH_S if well else FRESH_AWAY_S)


class Gateway:
    """Providers in order of preference: the first model of the first one is the default.

    `discover` gives more of them, asked for in the background every `discover_every_s`.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        default_model: str | None = None,
        retries: Retries | None = None,
        discover: Callable[[], Awaitable[list[Provider]]] | None = None,
        discover_every_s: float = 30.0,
    ) -> None:
        self._served = [_Served(provider) for provider in providers]
        self._found: list[_Served] = []
        self._default = default_model
        self._retries = retries or Retries()
        self._discover = discover
        self._every_s = discover_every_s
        self._task: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()

    async def open(self) -> None:
        """Begin to look for servers on this machine."""
        if self._discover is not None:
            self._task = asyncio.create_task(self._keep_discovering(self._discover))

    async def close(self) -> None:
        """End the search and every connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for served in self._all():
            await served.provider.close()

    async def models(self) -> list[ModelInfo]:
        """Every model on offer, providers in order; those of an absent provider are not in it, or
        not ready where the provider knows them."""
        await self._refresh()
        return [model for served in self._all() for model in served.models]

    async def resolve(self, model_id: str | None) -> ModelInfo:
        """A model by its id, or the default one. Raises `ModelNotFound`, or
        `ProviderUnavailable` where there is no model at all."""
        offered = await self.models()
        wanted = model_id or self._default
        for model in offered:
            if wanted in (None, model.id):
                return model
        if offered and model_id is not None:
            raise ModelNotFound(
                f"There is no model {model_id!r}; GET /v1/models lists those on offer."
            )
        if offered:
            return offered[0]
        why = "; ".join(served.why_not for served in self._all() if served.why_not)
        raise ProviderUnavailable(why or "no model is on offer")

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        """One answer. Closing it aborts the work. Raises the errors of `errors.py`."""
        model = await self.resolve(request.model)
        served = next(s for s in self._all() if model in s.models)
        for attempt in range(1, self._retries.attempts + 1):
            began = False
            try:
                async with aclosing(self._attempt(served, request, model)) as events:
                    async for event in events:
                        began = True
                        yield event
                return
            except GatewayError as error:
                if began or not error.transient or attempt == self._retries.attempts:
                    raise
                wait = self._wait(attempt, error)
                if wait is None:
                    raise
                log.info("asking again", provider=model.provider, attempt=attempt, error=str(error))
                metrics.RETRIES.labels(provider=model.provider).inc()
                await asyncio.sleep(wait)

    def _wait(self, attempt: int, error: GatewayError) -> float | None:
        """Seconds to wait before the next attempt; None to give up at once."""
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT_S:
            return None
        doubled = self._retries.first_wait_s * float(2 ** (attempt - 1))
        return max(doubled * random.uniform(0.75, 1.25), error.retry_after or 0.0)

    async def _attempt(
        self, served: _Served, request: GenerationRequest, model: ModelInfo
    ) -> AsyncGenerator[Delta | Finish, None]:
        """One try at a provider, counted by its breaker."""
        name = model.provider
        breaker = served.breaker
        began = time.monotonic()
        if not breaker.admit(began):
            raise ProviderUnavailable(
                f"{name} failed several times; it is asked again in {breaker.wait_s(began):.0f} s",
                breaker.wait_s(began),
            )
        outcome = "left"
        try:
            first = True
            async with aclosing(_generator(served.provider, request, model)) as events:
                async for event in events:
                    if first:
                        first = False
                        metrics.FIRST_TOKEN.labels(provider=name).observe(time.monotonic() - began)
                    if isinstance(event, Finish):
                        outcome = "done"
                        _count(event)
                    yield event
        except GatewayError as error:
            outcome = error.code
            # A provider that refuses is alive.
            if error.transient and not isinstance(error, RateLimited):
                outcome = "failed"
            raise
        finally:
            metrics.REQUESTS.labels(provider=name, outcome=outcome).inc()
            now = time.monotonic()
            if outcome == "failed":
                breaker.failed(now)
            elif outcome == "left":
                breaker.left()
            else:
                breaker.succeeded()
            metrics.OPEN.labels(provider=name).set(breaker.state(now) is Circuit.OPEN)

    def _all(self) -> list[_Served]:
        return [*self._served, *self._found]

    async def _refresh(self) -> None:
        """Ask the providers whose list has gone stale, all at once, one asker at a time."""
        if not any(served.stale(time.monotonic()) for served in self._all()):
            return
        async with self._asking:
            now = time.monotonic()
            await asyncio.gather(*(_ask(served) for served in self._all() if served.stale(now)))

    async def _keep_discovering(self, discover: Callable[[], Awaitable[list[Provider]]]) -> None:
        while True:
            try:
                await self._take(await discover())
            except Exception:
                log.exception("the search for model servers failed; it goes on")
            await asyncio.sleep(self._every_s)

    async def _take(self, found: list[Provider]) -> None:
        """Keep the providers that are known, add the new, drop those that are gone."""
        known = {served.provider.name: served for served in self._found}
        for provider in found:
            if provider.name in known:
                await provider.close()
            else:
                log.info("found a model server", provider=provider.name)
        names = {provider.name for provider in found}
        gone = [served for name, served in known.items() if name not in names]
        self._found = [known.get(p.name) or _Served(p) for p in found]
        for served in gone:
            log.info("a model server is gone", provider=served.provider.name)
            await served.provider.close()


def _generator(
    provider: Provider, request: GenerationRequest, model: ModelInfo
) -> AsyncGenerator[Delta | Finish, None]:
    """The provider's stream, closable."""

    async def events() -> AsyncGenerator[Delta | Finish, None]:
        stream = provider.stream(request, model)
        try:
            async for event in stream:
                yield event
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    return events()


async def _ask(served: _Served) -> None:
    try:
        served.models = await served.provider.models()
        served.why_not = ""
    except GatewayError as error:
        served.models = []
        served.why_not = str(error)
    served.asked_at = time.monotonic()


def _count(finish: Finish) -> None:
    counted = metrics.TOKENS.labels
    usage = finish.usage
    counted(provider=finish.provider, kind="prompt").inc(usage.prompt_tokens)
    counted(provider=finish.provider, kind="cached").inc(usage.cached_tokens)
    counted(provider=finish.provider, kind="completion").inc(usage.completion_tokens)
