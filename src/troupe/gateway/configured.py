"""The gateway that the settings ask for."""

from __future__ import annotations

from functools import partial

from troupe.settings import Settings

from . import discovery
from .gateway import Gateway
from .providers.openai import OpenAIProvider
from .providers.troupe import TroupeProvider
from .types import Provider


def from_settings(settings: Settings) -> Gateway:
    """Troupe's engine first, then the configured server, then what is found on this machine."""
    providers: list[Provider] = [TroupeProvider(settings.engine_address)]
    if settings.openai_base_url is not None:
        key = settings.openai_api_key
        providers.append(
            OpenAIProvider(
                "openai", settings.openai_base_url, key.get_secret_value() if key else None
            )
        )
    own = frozenset({settings.port, settings.engine_port, settings.worker_port})
    discover = partial(_discover, own) if settings.discover_local_models else None
    return Gateway(providers, settings.default_model, discover=discover)


async def _discover(own_ports: frozenset[int]) -> list[Provider]:
    found = await discovery.look(discovery.places(own_ports))
    return [OpenAIProvider(place.name, place.base_url, extended=True) for place in found]
