"""Which models are on offer: asked of every provider, kept for a while, asked again.

A provider that was there and is not any more keeps its models in the list, marked as not ready; a
discovered one simply goes. Called by the gateway.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from troupe.gateway import metrics
from troupe.gateway.discovery import Discovery
from troupe.gateway.errors import GatewayError, ModelNotFound, Timeout
from troupe.gateway.types import ModelInfo, Provider
from troupe.telemetry import logs

log = logs.get(__name__)

FRESH_S = 30.0  # a list is this long good while all is well
SOON_S = 1.0  # and this long when something is not ready; longer each time it still is not
LIMIT_S = 5.0  # for one provider to answer


class Offers:
    """The models of all providers."""

    def __init__(self, providers: Sequence[Provider], discovery: Discovery | None) -> None:
        self._providers = list(providers)
        self._discovery = discovery
        self._models: dict[str, list[ModelInfo]] = {}  # by provider, in order
        self._by_name: dict[str, Provider] = {p.name: p for p in providers}
        self._failures: dict[str, str] = {}  # by provider, why it does not say what it offers
        self._asked = float("-inf")
        self._unready = 0  # times in a row that something was not ready
        self._lock = asyncio.Lock()

    async def models(self) -> list[ModelInfo]:
        """What is on offer; asks first if what is known is old."""
        if self._age() > self._good_for():
            async with self._lock:
                if self._age() > self._good_for():
                    await self._ask()
        return [model for models in self._models.values() for model in models]

    async def look_again(self) -> list[ModelInfo]:
        """What is on offer, asked now unless that was done within the last second."""
        self.doubt()
        return await self.models()

    def doubt(self) -> None:
        """What is known may be wrong: ask again before long."""
        self._unready = 1

    def provider(self, model: ModelInfo) -> Provider:
        """Who has the model. Raises `ModelNotFound`."""
        try:
            return self._by_name[model.provider]
        except KeyError as error:
            raise ModelNotFound(f"There is no provider {model.provider!r}.") from error

    def why_none(self) -> str:
        """Why there is no model, as far as is known."""
        return "; ".join(self._failures.values()) or "no model is on offer"

    async def keep_fresh(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            await self.models()
            await asyncio.sleep(max(SOON_S, self._good_for() - self._age()))

    async def close(self) -> None:
        """Close every provider."""
        for provider in self._providers:
            await provider.close()
        if self._discovery is not None:
            await self._discovery.close()

    def _age(self) -> float:
        return time.monotonic() - self._asked

    def _good_for(self) -> float:
        return (
            min(FRESH_S, SOON_S * 1.5 ** min(20, self._unready - 1)) if self._unready else FRESH_S
        )

    async def _ask(self) -> None:
        taken = {provider.name for provider in self._providers}
        found = [] if self._discovery is None else await self._discovery.look()
        asked = [*self._providers, *(p for p in found if p.name not in taken)]
        answers = await asyncio.gather(*(self._of(provider) for provider in asked))
        self._by_name |= {provider.name: provider for provider in asked}
        self._models = {p.name: models for p, models in zip(asked, answers, strict=True)}
        self._asked = time.monotonic()
        ready = all(self._models.get(p.name) for p in self._providers) and all(
            model.ready for models in self._models.values() for model in models
        )
        self._unready = 0 if ready else self._unready + 1
        for name, models in self._models.items():
            metrics.MODELS.labels(name).set(sum(model.ready for model in models))

    async def _of(self, provider: Provider) -> list[ModelInfo]:
        try:
            async with asyncio.timeout(LIMIT_S):
                models = await provider.models()
                self._failures.pop(provider.name, None)
                return models
        except TimeoutError:
            error: GatewayError = Timeout(f"{provider.name} does not say what it offers")
        except GatewayError as raised:
            error = raised
        if provider.name not in self._failures:
            log.info("no models", provider=provider.name, error=str(error))
        self._failures[provider.name] = str(error)
        known = self._models.get(provider.name, [])
        return [replace(model, ready=False, why_not=str(error)) for model in known]
