"""A network between the browser and the platform that a test can cut and mend.

Cutting resets every connection and refuses new ones: what a phone sees in a tunnel. (The browser's
own offline mode leaves WebSockets that are open alone.)
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

LIMIT_S = 10.0


class Wire:
    """Forwards TCP to `port` of this machine while it is whole; `url` is its near end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""

    def __enter__(self) -> Wire:
        self._thread.start()
        server = self._do(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self._server = server
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)

    def cut(self) -> None:
        """Lose every connection; new ones fail until `mend`."""
        self._do(self._cut())

    def mend(self) -> None:
        """Be whole again."""
        self._whole = True

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    async def _cut(self) -> None:
        self._whole = False
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if not self._whole:
            back.transport.abort()
            return
        self._writers.add(back)
        try:
            far, forth = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            back.transport.abort()
            self._writers.discard(back)
            return
        self._writers.add(forth)
        await asyncio.gather(_pump(near, forth), _pump(far, back))
        self._writers -= {back, forth}


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.close()
