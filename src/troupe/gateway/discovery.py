"""Finds model servers on this machine: Ollama, llama-server, vLLM, LM Studio.

Asks each one's usual port for its models, all at once and briefly. Whatever does not answer as such
a server does is left alone; so is Troupe itself. Called by the gateway, again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from troupe.gateway.errors import GatewayError
from troupe.gateway.providers.http import Http
from troupe.gateway.providers.openai import OpenAIProvider

LIMIT_S = 1.0  # for one server to answer


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kind of server and where it usually listens. `owners`: what it says in `owned_by` of its
    models, where that tells it from others on the same port; empty takes any."""

    name: str
    port: int
    owners: tuple[str, ...] = ()


CANDIDATES = (
    Candidate("ollama", 11434),
    Candidate("llama-server", 8080, ("llamacpp",)),
    Candidate("vllm", 8000, ("vllm",)),
    Candidate("lmstudio", 1234),
)


class Discovery:
    """Keeps one provider for each server that was found, as long as it is there."""

    def __init__(
        self, own_ports: Collection[int], candidates: Sequence[Candidate] = CANDIDATES
    ) -> None:
        """`own_ports` are Troupe's: they are never asked."""
        self._candidates = [c for c in candidates if c.port not in own_ports]
        self._found: dict[str, OpenAIProvider] = {}

    async def look(self) -> list[OpenAIProvider]:
        """Who is there now. One that is gone keeps its connections, for answers that still run."""
        present = await asyncio.gather(*(_is_there(c) for c in self._candidates))
        for candidate, there in zip(self._candidates, present, strict=True):
            if there and candidate.name not in self._found:
                url = f"http://127.0.0.1:{candidate.port}/v1"
                self._found[candidate.name] = OpenAIProvider(candidate.name, url, connect_s=1.0)
        return [
            self._found[c.name] for c, there in zip(self._candidates, present, strict=True) if there
        ]

    async def close(self) -> None:
        """Close all connections."""
        for provider in self._found.values():
            await provider.close()


async def _is_there(candidate: Candidate) -> bool:
    http = Http(candidate.name, f"http://127.0.0.1:{candidate.port}", connect_s=LIMIT_S)
    try:
        async with asyncio.timeout(LIMIT_S):
            return _fits(candidate, await http.get_json("v1/models"))
    except (GatewayError, TimeoutError):
        return False
    finally:
        await http.close()


def _fits(candidate: Candidate, data: Any) -> bool:
    listed = data.get("data") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        return False
    owners = {item.get("owned_by") for item in listed if isinstance(item, dict)}
    if "troupe" in owners:
        return False
    return not candidate.owners or bool(owners & set(candidate.owners))
