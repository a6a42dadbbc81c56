"""The chat service under load, alone in its process: what `bench.chat` measures.

A synthetic provider makes chunks that carry the time at which they were made; everything behind it
is the real service: generations, checkpoints, outboxes, sockets, uvicorn. The store is plain
dictionaries, so that no database shares the processor.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import time
from collections.abc import AsyncGenerator
from uuid import UUID, uuid4

import uvicorn
from tests.support.memory_store import MemoryStore
from tests.support.scripted import MODEL

from troupe.chat.app import UVICORN_OPTIONS, assemble, build
from troupe.chat.catalog import ApiKey, CharacterVersion, Persona
from troupe.gateway.types import Delta, Finish, GenerationRequest, ModelInfo, Usage
from troupe.settings import Settings

SECRET = "a secret of at least thirty-two bytes, for a benchmark"
PHASES = 50  # the streams' chunks are spread over this many moments of a period

_ids = {"version_id": uuid4(), "character_id": uuid4(), "owner_id": uuid4()}
VERSION = CharacterVersion(
    **_ids,
    slug="mira",
    visibility="public",
    name="Mira",
    tagline="",
    description="",
    greeting="Hello.",
    alternate_greetings=(),
    definition="",
    example_dialogues="",
    avatar="",
    tags=(),
)


class OneCharacter:
    """A catalog of one."""

    async def version(self, version_id: UUID) -> CharacterVersion | None:
        return VERSION

    async def current(self, slug_or_id: str, viewer: UUID | None) -> CharacterVersion | None:
        return VERSION

    async def search(self, viewer: UUID | None, limit: int) -> list[CharacterVersion]:
        return [VERSION]

    async def persona(self, persona_id: UUID, user_id: UUID) -> Persona | None:
        return None

    async def default_persona(self, user_id: UUID) -> Persona | None:
        return None

    async def api_key(self, key: str) -> ApiKey | None:
        return None


class Ticking:
    """Answers of chunks at a steady rate, for as long as asked. One clock wakes all streams of a
    phase, as one read from an engine's connection would."""

    def __init__(self, chunks_per_second: float, seconds: float) -> None:
        self._period = 1 / chunks_per_second
        self._chunks = int(chunks_per_second * seconds)
        self._phases: list[list[asyncio.Future[None]]] = [[] for _ in range(PHASES)]
        self._next_phase = 0

    async def tick(self) -> None:
        """For ever: wake one phase after another, on time."""
        at = time.monotonic()
        phase = 0
        while True:
            at += self._period / PHASES
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            woken, self._phases[phase] = self._phases[phase], []
            for future in woken:
                if not future.done():
                    future.set_result(None)
            phase = (phase + 1) % PHASES

    async def models(self) -> list[ModelInfo]:
        return [MODEL]

    async def resolve(self, model_id: str) -> ModelInfo:
        return MODEL

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Delta | Finish, None]:
        phase = self._next_phase
        self._next_phase = (phase + 1) % PHASES
        loop = asyncio.get_running_loop()
        for _ in range(self._chunks):
            future = loop.create_future()
            self._phases[phase].append(future)
            await future
            yield Delta(f"{time.monotonic():.6f} ")
        yield Finish("stop", Usage(), MODEL.id, MODEL.provider)


async def serve(options: argparse.Namespace) -> None:
    """Serve on a port of the system's choice, which is printed."""
    settings = Settings(secret_key=SECRET, max_sockets=50_000, max_streams=50_000)
    models = Ticking(options.rate, options.seconds)
    service = build(settings, MemoryStore(), OneCharacter(), models, ())
    app = assemble(settings, service, interval=options.interval)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, backlog=4096, **UVICORN_OPTIONS
    )
    server = uvicorn.Server(config)
    ticking = asyncio.create_task(models.tick())
    print(listener.getsockname()[1], flush=True)
    await server.serve(sockets=[listener])
    if ticking is not None:
        ticking.cancel()


def main() -> None:
    """`python -m bench.chat_server --interval SECONDS --rate CHUNKS --seconds LENGTH`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--interval", type=float, default=0.125)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=_uvloop()) as runner:
        runner.run(serve(parser.parse_args()))


def _uvloop():  # type: ignore[no-untyped-def]
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
