"""Asking a process on this machine how it is, without an HTTP library."""

from __future__ import annotations

import asyncio
import json

_LIMIT_S = 3.0
_LIMIT_BYTES = 65536


async def ask(host: str, port: int, path: str = "/readyz") -> str | None:
    """None if `path` answers 200, else why not."""
    try:
        async with asyncio.timeout(_LIMIT_S):
            return await _ask(host, port, path)
    except TimeoutError:
        return f"no answer on port {port} within {_LIMIT_S:g} s"
    except (OSError, EOFError, ValueError):
        return "not listening yet"


async def _ask(host: str, port: int, path: str) -> str | None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read(_LIMIT_BYTES)
        while piece := await reader.read(_LIMIT_BYTES):
            answer += piece
            if len(answer) > _LIMIT_BYTES:
                break
    finally:
        writer.close()
    status, _, rest = answer.partition(b"\r\n")
    if b" 200 " in status + b" ":
        return None
    return _reason(rest.partition(b"\r\n\r\n")[2])


def _reason(body: bytes) -> str:
    """What the body of a 503 says: our checks, or the engine's `why`."""
    try:
        said = json.loads(body)
        failed = {name: why for name, why in said.get("checks", {}).items() if why != "ok"}
        if failed:
            return "; ".join(f"{name}: {why}" for name, why in failed.items())
        return str(said.get("why") or said.get("status") or "not ready")
    except (ValueError, AttributeError):
        return "not ready"
