"""Whether a port is free, and if not, who has it and which setting changes it."""

from __future__ import annotations

import errno
import os
import socket

from troupe.ops.errors import OpsError, PortTaken


def check(host: str, port: int, setting: str) -> None:
    """Raises `PortTaken` if something listens there, `OpsError` if it cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise OpsError(
            f"the address {host!r} is not one of this machine: {error.strerror}",
            "Set TROUPE_HOST to 127.0.0.1, or to 0.0.0.0 for every address",
        ) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise _explained(error, host, port, setting) from error


def _explained(error: OSError, host: str, port: int, setting: str) -> OpsError:
    if error.errno == errno.EADDRINUSE:
        holder = who_listens(port)
        by = f" by {holder}" if holder else ""
        return PortTaken(
            f"port {port} is in use{by}", f"Stop that, or set {setting} to another port"
        )
    if error.errno == errno.EACCES:
        return OpsError(f"port {port} is open to root only", f"Set {setting} to a port above 1023")
    return OpsError(
        f"{host}:{port} cannot be listened on: {os.strerror(error.errno or 0)}",
        f"Set TROUPE_HOST or {setting} to something that can",
    )


def who_listens(port: int) -> str | None:
    """The program that listens on a port, if we may know."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                name = psutil.Process(connection.pid).name()
                return f"{name} (process {connection.pid})"
    except (psutil.Error, OSError):  # only root sees everyone's
        return None
    return None
