"""The gateway that the settings ask for."""

from __future__ import annotations

from troupe.settings import Settings

from .breaker import BreakerPolicy
from .discovery import Discovery
from .engines import EnginesProvider, Member
from .engines.members import parse
from .engines.registry import Registry
from .gateway import Gateway, Policy
from .providers import OpenAIProvider, TroupeProvider
from .retry import RetryPolicy
from .types import Provider

ENGINE = "troupe"  # the provider's name

# The engine is back seconds after a crash: wait for it. Others may be gone for long.
OWN_ENGINE = Policy(
    retry=RetryPolicy(attempts=10, longest_pause_s=2.0, patience_s=15.0),
    breaker=BreakerPolicy(failures=10, open_s=1.0, longest_open_s=4.0),
)


def from_settings(settings: Settings) -> Gateway:
    """Troupe's engine first, then the configured server, then what is found on this machine.

    Opens nothing yet. Raises `ProviderUnavailable` for an address that is none.
    """
    engine = engines(settings)
    providers: list[Provider] = [engine]
    if settings.openai_base_url is not None:
        key = settings.openai_api_key
        secret = key.get_secret_value() if key else None
        providers.append(OpenAIProvider("openai", settings.openai_base_url, secret))
    discovery = None
    if settings.discover_local_models:
        discovery = Discovery(
            {settings.port, settings.worker_port, settings.engine_port, *settings.own_engine_ports}
        )
    return Gateway(providers, discovery, settings.default_model, {engine.name: OWN_ENGINE})


def engines(settings: Settings) -> EnginesProvider:
    """Troupe's engine, in as many replicas as there are. Raises `ProviderUnavailable` for an
    address that is none."""
    folder = settings.model_folder if settings.engine_url is None else None
    members = parse(settings.engine_addresses)

    def connect(member: Member) -> TroupeProvider:
        name = ENGINE if members == [member] else f"{ENGINE} at {member.name}"
        return TroupeProvider(member.url, folder, name)

    return EnginesProvider(ENGINE, connect, members, registry(settings))


def registry(settings: Settings) -> Registry | None:
    """Where engines announce themselves, if that is set. Raises `ProviderUnavailable`."""
    if settings.redis_url is None:
        return None
    from .engines.redis_registry import RedisRegistry

    return RedisRegistry(settings.redis_url.get_secret_value())
