"""Model servers on this machine, found by the ports that they use by default.

A server counts as found if it lists its models without a key. Only loopback is ever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import GatewayError
from .providers.openai import OpenAIProvider
from .upstream import TimeLimits

# Where each listens unless told otherwise, by its documentation.
PORTS: Mapping[str, int] = {"ollama": 11434, "llama-server": 8080, "vllm": 8000, "lmstudio": 1234}
LOOK = TimeLimits(connect=0.3, answer=0.7)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kind of server might be."""

    name: str
    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def places(own_ports: frozenset[int], ports: Mapping[str, int] = PORTS) -> list[Place]:
    """Where to look; never at Troupe's own ports."""
    return [Place(name, port) for name, port in ports.items() if port not in own_ports]


async def look(wanted: list[Place]) -> list[Place]:
    """Those of the places where a server lists its models now."""
    found = await asyncio.gather(*(_answers(place) for place in wanted))
    return [place for place, there in zip(wanted, found, strict=True) if there]


async def _answers(place: Place) -> bool:
    provider = OpenAIProvider(place.name, place.base_url, limits=LOOK)
    try:
        return bool(await provider.models())
    except GatewayError:  # nothing there, or something else: both mean "not found"
        return False
    finally:
        await provider.close()
